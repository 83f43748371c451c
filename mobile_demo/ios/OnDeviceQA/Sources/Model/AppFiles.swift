import Foundation
import QACore
import QARuntime

/// What the app carries: models and passages. Nothing is fetched.
enum AppFiles {
    /// The folder `Bundles` of the app, as `ondevice embed` filled it.
    static var bundlesDirectory: URL {
        (Bundle.main.resourceURL ?? Bundle.main.bundleURL)
            .appendingPathComponent("Bundles", isDirectory: true)
    }

    static func bundles() -> [BundleLibrary.Entry] {
        BundleLibrary.list(in: bundlesDirectory)
    }

    /// The sample passages, which `ondevice embed` puts beside the bundles.
    static func passages() throws -> [Passage] {
        let file = bundlesDirectory.appendingPathComponent("qa.json")
        guard let data = FileManager.default.contents(atPath: file.path) else {
            throw QAError(.badPassages, "there are no passages: run ondevice embed")
        }
        return try Passages.read(json: [UInt8](data))
    }

    static var appVersion: String {
        Bundle.main.object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String ?? "?"
    }
}
