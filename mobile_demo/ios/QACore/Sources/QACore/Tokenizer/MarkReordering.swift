/// Characters of a decomposition that wait for the order of their combining classes.
///
/// The reference hands places out by position, not by character: in canonical order, each first
/// character of a decomposition takes the next source, each further one that of the character
/// before it. Where a spacing mark is moved over another mark it so gets the other's place.
struct MarkReordering {
    struct Character {
        let codePoint: UInt32
        let combiningClass: UInt8
        /// The first (or only) character that its source decomposes into.
        let isFirst: Bool
    }

    var pending: [Character] = []
    /// Places of the sources whose first characters are pending, in the order of the text.
    var sources: [Int32] = []
    private var lastSource: Int32 = 0

    /// Take the pending characters with their places.
    ///
    /// With `keepingLastSource` the last of the sources belongs to the character that follows.
    mutating func settle(keepingLastSource: Bool) -> [(UInt32, Int32)] {
        sortByClass()
        var result: [(UInt32, Int32)] = []
        result.reserveCapacity(pending.count)
        var taken = 0
        for character in pending {
            if character.isFirst {
                lastSource = sources[taken]
                taken += 1
            }
            result.append((character.codePoint, lastSource))
        }
        pending.removeAll(keepingCapacity: true)
        let kept = keepingLastSource ? sources.suffix(1) : []
        sources = Array(kept)
        return result
    }

    /// Sort by combining class; equal ones stay in their order.
    private mutating func sortByClass() {
        if pending.count > 16 {
            // Swift does not promise that its sort is stable.
            pending = pending.enumerated().sorted {
                ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
            }.map(\.element)
            return
        }
        for place in pending.indices.dropFirst() {
            var at = place
            while at > 0, pending[at - 1].combiningClass > pending[at].combiningClass {
                pending.swapAt(at - 1, at)
                at -= 1
            }
        }
    }
}
