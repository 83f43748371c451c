import Foundation
import QACore

/// What packages were compiled to on this device, kept by the hash of the artifact.
struct CompiledModels: Sendable {
    /// A directory of its own: what is in it and not wanted is deleted.
    let directory: URL

    /// In the app's caches, which the system may clear while the app does not run.
    static func standard() throws -> CompiledModels {
        let caches = try FileManager.default.url(
            for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        return CompiledModels(
            directory: caches.appendingPathComponent("OnDeviceQA.compiled", isDirectory: true))
    }

    /// Where an artifact's is; nil if it was not compiled.
    func find(_ hash: String) -> URL? {
        let place = self.place(hash)
        return FileManager.default.fileExists(atPath: place.path) ? place : nil
    }

    /// Compile what is not there yet, and delete what is of none of the artifacts wanted.
    ///
    /// Several may do so at a time: the first to end puts its own into place.
    func prepare(
        _ hash: String, wanted: some Sequence<String>, compile: @Sendable () async throws -> URL
    ) async throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let names = Set(
            wanted.map { place($0).lastPathComponent } + [place(hash).lastPathComponent])
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path)
        where !names.contains(name) {
            try? FileManager.default.removeItem(at: directory.appendingPathComponent(name))
        }
        if find(hash) != nil { return }
        let compiled = try await compile()
        do {
            // Renamed as a whole: a compilation that was cut off leaves nothing behind.
            try FileManager.default.moveItem(at: compiled, to: place(hash))
        } catch {
            try? FileManager.default.removeItem(at: compiled)
            guard find(hash) != nil else { throw error }
        }
    }

    private func place(_ hash: String) -> URL {
        directory.appendingPathComponent("\(hash).mlmodelc", isDirectory: true)
    }
}
