import QACore

/// How large a model is: by its parameters, and by its artifact's bytes where these are equal.
public struct ModelSize: Sendable, Hashable, Comparable {
    public let params: Int
    public let bytes: Int

    public init(params: Int, bytes: Int) {
        self.params = params
        self.bytes = bytes
    }

    public init(_ manifest: Manifest) {
        self.init(params: manifest.model.params, bytes: manifest.artifact.bytes)
    }

    public static func < (one: ModelSize, other: ModelSize) -> Bool {
        (one.params, one.bytes) < (other.params, other.bytes)
    }

    /// Which of some models is the teacher, and which its student: the largest and the smallest.
    ///
    /// Of equal ones the first is the teacher and the last the student. Nil without models.
    public static func teacherAndStudent<ID>(
        _ models: [(id: ID, size: ModelSize)]
    ) -> (teacher: ID, student: ID)? {
        let ordered = models.enumerated().sorted {
            ($1.element.size, $0.offset) < ($0.element.size, $1.offset)
        }
        guard let largest = ordered.first, let smallest = ordered.last else { return nil }
        return (largest.element.id, smallest.element.id)
    }
}
