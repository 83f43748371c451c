import Foundation
import Observation
import QACore
import QARuntime

/// A model that can be picked.
struct ModelChoice: Identifiable, Hashable {
    /// The bundle's directory name.
    let id: String
    let title: String
    let detail: String
    let size: ModelSize

    init(id: String, manifest: Manifest) {
        self.id = id
        title = manifest.model.name
        size = ModelSize(manifest)
        let megabytes = Double(manifest.artifact.bytes) / 1e6
        detail =
            "\(manifest.artifact.target) \(manifest.artifact.scheme), "
            + "\(megabytes.formatted(.number.precision(.fractionLength(1)))) MB"
    }
}

/// What the screens share: passages, models, and the one that was picked.
@MainActor
@Observable
final class AppModel {
    private(set) var passages: [Passage] = []
    private(set) var choices: [ModelChoice] = []
    /// What could not be read, for the user.
    private(set) var problems: [String] = []
    var picked: String?

    private var sessions: [String: ModelSession] = [:]
    private var directories: [String: URL] = [:]

    init() {
        do {
            passages = try AppFiles.passages()
        } catch {
            problems.append("\(error)")
        }
        for entry in AppFiles.bundles() {
            switch entry.manifest {
            case .success(let manifest) where manifest.task == "qa":
                choices.append(ModelChoice(id: entry.id, manifest: manifest))
                directories[entry.id] = entry.directory
            case .success(let manifest):
                problems.append("\(entry.id) is for the task '\(manifest.task)', not 'qa'")
            case .failure(let error):
                problems.append("\(entry.id): \(error.message)")
            }
        }
        picked = choices.first?.id
        if choices.isEmpty {
            problems.append("There is no model: run ondevice embed and build the app again.")
        }
    }

    func choice(_ id: String?) -> ModelChoice? { choices.first { $0.id == id } }

    func directory(_ id: String) -> URL? { directories[id] }

    func answer(question: String, context: String, with id: String) async throws -> Reply {
        guard let directory = directories[id] else {
            throw EngineError("there is no model '\(id)'")
        }
        let session = sessions[id] ?? ModelSession(directory: directory)
        sessions[id] = session
        return try await session.answer(question: question, context: context)
    }

    /// Give the memory of all models back, so that the benchmark measures one alone.
    func unloadAll() async {
        for session in sessions.values { await session.unload() }
        sessions = [:]
    }
}
