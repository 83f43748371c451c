/// What is shown of some samples, in their unit.
public struct Statistics: Sendable, Equatable {
    public let count: Int
    public let mean: Double
    public let min: Double
    public let max: Double
    public let median: Double
    public let p90: Double
    public let p99: Double

    /// Nil without samples, or if they are too large: their sum, or the way between two of them.
    public init?(_ samples: [Double]) {
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        count = sorted.count
        mean = sorted.reduce(0, +) / Double(sorted.count)
        min = sorted[0]
        max = sorted[sorted.count - 1]
        median = Self.percentile(50, of: sorted)
        p90 = Self.percentile(90, of: sorted)
        p99 = Self.percentile(99, of: sorted)
        guard [mean, min, max, median, p90, p99].allSatisfy(\.isFinite) else { return nil }
    }

    /// Linear interpolation between the closest ranks (NumPy's default) of ascending values.
    static func percentile(_ percent: Double, of sorted: [Double]) -> Double {
        let rank = percent / 100 * Double(sorted.count - 1)
        let below = Int(rank)
        let above = Swift.min(below + 1, sorted.count - 1)
        let share = rank - Double(below)
        let difference = sorted[above] - sorted[below]
        return share < 0.5
            ? sorted[below] + difference * share : sorted[above] - difference * (1 - share)
    }
}
