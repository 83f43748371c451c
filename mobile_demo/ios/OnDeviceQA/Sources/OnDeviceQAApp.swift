import QARuntime
import SwiftUI

@main
struct OnDeviceQAApp: App {
    @State private var model = AppModel()
    private let headless = HeadlessOptions(environment: ProcessInfo.processInfo.environment)

    var body: some Scene {
        WindowGroup {
            if let headless {
                HeadlessView(options: headless)
            } else {
                RootView().environment(model)
            }
        }
    }
}
