import SwiftUI

struct RootView: View {
    var body: some View {
        TabView {
            PassageListView()
                .tabItem { Label("Ask", systemImage: "text.magnifyingglass") }
            CompareView()
                .tabItem { Label("Compare", systemImage: "rectangle.split.2x1") }
            BenchmarkView()
                .tabItem { Label("Benchmark", systemImage: "stopwatch") }
        }
    }
}

/// What could not be read, if anything.
struct ProblemsSection: View {
    @Environment(AppModel.self) private var app

    var body: some View {
        if !app.problems.isEmpty {
            Section("Problems") {
                ForEach(app.problems, id: \.self) { problem in
                    Label(problem, systemImage: "exclamationmark.triangle")
                }
            }
        }
    }
}

/// Picks one of the embedded models.
struct ModelPicker: View {
    let title: String
    @Binding var selection: String?
    @Environment(AppModel.self) private var app

    var body: some View {
        Picker(title, selection: $selection) {
            ForEach(app.choices) { choice in
                Text("\(choice.title) · \(choice.detail)").tag(Optional(choice.id))
            }
        }
        .accessibilityIdentifier("picker-\(title)")
    }
}
