// The views and modifiers that the app uses.

public struct Text: Leaf {
    public init<Words: StringProtocol>(_ words: Words) {}
    public init(_ words: AttributedString) {}
}

public struct Label: Leaf {
    public init<Words: StringProtocol>(_ title: Words, systemImage: String) {}
}

public struct EmptyView: Leaf { public init() {} }

public struct TextField: Leaf {
    public init<Words: StringProtocol>(_ title: Words, text: Binding<String>) {}
}

public struct TextEditor: Leaf { public init(text: Binding<String>) {} }

public struct ButtonRole: Sendable { public static let destructive = ButtonRole() }

public struct Button: Leaf {
    public init<Words: StringProtocol>(_ title: Words, action: @escaping @MainActor () -> Void) {}
    public init<Words: StringProtocol>(
        _ title: Words, role: ButtonRole?, action: @escaping @MainActor () -> Void
    ) {}
}

public struct LabeledContent: Leaf {
    public init<Title: StringProtocol, Words: StringProtocol>(_ title: Title, value: Words) {}
}

public struct ProgressView: Leaf {
    public init() {}
    public init<Content: View>(value: Double?, @ViewBuilder label: () -> Content) {}
}

public struct ShareLink: Leaf {
    public init<Words: StringProtocol>(_ title: Words, item: URL) {}
}

public struct Picker<Selection: Hashable, Content: View>: Leaf {
    public init<Words: StringProtocol>(
        _ title: Words, selection: Binding<Selection>, @ViewBuilder content: () -> Content
    ) {}
}

public struct ForEach<Items: RandomAccessCollection, ID: Hashable, Content: View>: Leaf {
    public init(
        _ items: Items, id: KeyPath<Items.Element, ID>,
        @ViewBuilder content: @escaping (Items.Element) -> Content
    ) {}
}

extension ForEach where Items.Element: Identifiable, ID == Items.Element.ID {
    public init(_ items: Items, @ViewBuilder content: @escaping (Items.Element) -> Content) {}
}

public struct Section<Content: View, Footer: View>: Leaf {
    public init(@ViewBuilder content: () -> Content, @ViewBuilder footer: () -> Footer) {}
}

extension Section where Footer == EmptyView {
    public init<Words: StringProtocol>(_ title: Words, @ViewBuilder content: () -> Content) {}
}

public struct List<Content: View>: Leaf {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct TabView<Content: View>: Leaf {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct NavigationStack<Content: View>: Leaf {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct VStack<Content: View>: Leaf {
    public init(alignment: Alignment = .leading, @ViewBuilder content: () -> Content) {}
}

public enum Alignment: Sendable { case leading }

public struct NavigationLink<Title: View, Destination: View>: Leaf {
    public init(
        @ViewBuilder destination: () -> Destination, @ViewBuilder label: () -> Title
    ) {}
}

extension NavigationLink where Title == Text {
    public init<Words: StringProtocol>(
        _ title: Words, @ViewBuilder destination: () -> Destination
    ) {}
}

// MARK: - Modifiers

public enum TitleDisplayMode { case inline }
public enum SubmitLabel { case search }
public struct Font: Sendable {
    public static let caption = Font()
    public static let body = Font()
    public func bold() -> Font { self }
}
public struct Secondary: Sendable { public static let secondary = Secondary() }
public struct Color: Sendable {
    public static let yellow = Color()
    public static let black = Color()
}

extension View {
    public func environment<Value: AnyObject>(_ value: Value?) -> some View { self }
    public func tabItem<Content: View>(@ViewBuilder _ label: () -> Content) -> some View { self }
    public func tag<Value: Hashable>(_ value: Value) -> some View { self }
    public func accessibilityIdentifier(_ name: String) -> some View { self }
    public func navigationTitle<Words: StringProtocol>(_ title: Words) -> some View { self }
    public func navigationBarTitleDisplayMode(_ mode: TitleDisplayMode) -> some View { self }
    public func font(_ font: Font?) -> some View { self }
    public func foregroundStyle(_ style: Secondary) -> some View { self }
    public func lineLimit(_ lines: Int?) -> some View { self }
    public func frame(minHeight: Double?) -> some View { self }
    public func submitLabel(_ label: SubmitLabel) -> some View { self }
    public func onSubmit(_ action: @escaping @MainActor () -> Void) -> some View { self }
    public func disabled(_ flag: Bool) -> some View { self }
    public func onAppear(perform action: @escaping @MainActor () -> Void) -> some View { self }
    public func onChange<Value: Equatable>(
        of value: Value, _ action: @escaping @MainActor () -> Void
    ) -> some View { self }
    public func task(_ action: @escaping @MainActor @Sendable () async -> Void) -> some View { self }
}

extension AttributedString {
    public var backgroundColor: Color? {
        get { nil }
        set {}
    }
    public var foregroundColor: Color? {
        get { nil }
        set {}
    }
    public var font: Font? {
        get { nil }
        set {}
    }
}
