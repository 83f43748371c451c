import Foundation
import QACore

/// The bundles that were embedded into the app.
public enum BundleLibrary {
    /// A bundle's directory and its manifest, or why it cannot be used.
    public struct Entry: Sendable, Identifiable {
        public let directory: URL
        public let manifest: Result<Manifest, QAError>

        /// The directory's name.
        public var id: String { directory.lastPathComponent }
    }

    /// List the directories with a manifest, by name. Files are not compared yet.
    public static func list(in directory: URL) -> [Entry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.sorted().compactMap { name in
            let place = directory.appendingPathComponent(name, isDirectory: true)
            let manifest = place.appendingPathComponent(ModelBundle.manifestFile)
            guard FileManager.default.fileExists(atPath: manifest.path) else { return nil }
            return Entry(
                directory: place,
                manifest: Result { () throws(QAError) in try ModelBundle(directory: place).manifest
                })
        }
    }

    /// Open a bundle for use: its files are compared with their hashes before anything reads them.
    public static func open(_ directory: URL) throws(QAError) -> ModelBundle {
        let bundle = try ModelBundle(directory: directory)
        try bundle.verify(bundle.neededFiles)
        return bundle
    }
}
