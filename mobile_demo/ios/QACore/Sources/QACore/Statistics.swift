/// What is shown of some samples, in their unit.
public struct Statistics: Sendable, Equatable {
    public let count: Int
    public let mean: Double
    public let min: Double
    public let max: Double
    public let median: Double
    public let p90: Double
    public let p99: Double

    /// Nil without samples, or if one of them is not finite.
    public init?(_ samples: [Double]) {
        guard !samples.isEmpty, samples.allSatisfy(\.isFinite) else { return nil }
        let sorted = samples.sorted()
        count = sorted.count
        // Each divided before it is added, where the sum itself would be infinite.
        let sum = sorted.reduce(0, +)
        let size = Double(sorted.count)
        mean = sum.isFinite ? sum / size : sorted.reduce(0) { $0 + $1 / size }
        min = sorted[0]
        max = sorted[sorted.count - 1]
        median = Self.percentile(50, of: sorted)
        p90 = Self.percentile(90, of: sorted)
        p99 = Self.percentile(99, of: sorted)
    }

    /// Linear interpolation between the closest ranks (NumPy's default) of ascending values.
    static func percentile(_ percent: Double, of sorted: [Double]) -> Double {
        let rank = percent / 100 * Double(sorted.count - 1)
        let below = Int(rank)
        let above = Swift.min(below + 1, sorted.count - 1)
        let share = rank - Double(below)
        let difference = sorted[above] - sorted[below]
        guard difference.isFinite else {  // of two finite numbers, beyond the largest one
            return sorted[below] * (1 - share) + sorted[above] * share
        }
        return share < 0.5
            ? sorted[below] + difference * share : sorted[above] - difference * (1 - share)
    }
}
