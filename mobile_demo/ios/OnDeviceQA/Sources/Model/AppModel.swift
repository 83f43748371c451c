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
    /// While a benchmark runs, no question is answered: each would take the other's time.
    var isMeasuring = false

    /// A phone has room for a teacher and its student.
    private static let mostSessions = 2
    private var sessions: [String: ModelSession] = [:]
    /// Those of the sessions, the one that was used last at the end.
    private var recent: [String] = []
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

    func answer(question: String, context: String, with id: String) async throws -> Answered {
        if isMeasuring {
            throw EngineError("a benchmark is running: wait for its end, or stop it")
        }
        guard let directory = directories[id] else {
            throw EngineError("there is no model '\(id)'")
        }
        let session = sessions[id] ?? ModelSession(directory: directory)
        sessions[id] = session
        recent = recent.filter { $0 != id } + [id]
        if recent.count > Self.mostSessions {
            await sessions.removeValue(forKey: recent.removeFirst())?.putAway()
        }
        return try await session.answer(question: question, context: context)
    }

    /// Give the memory of all models back, so that the benchmark measures one alone.
    func unloadAll() async {
        let all = sessions.values
        (sessions, recent) = ([:], [])
        for session in all { await session.putAway() }
    }
}
