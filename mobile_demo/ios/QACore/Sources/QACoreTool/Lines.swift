import Foundation

/// The lines of standard input, of any length; the last one may lack its end.
struct Lines {
    private var buffer: [UInt8] = []
    private var place = 0
    private var chunk = [UInt8](repeating: 0, count: 1 << 16)

    mutating func next() -> [UInt8]? {
        var searched = place
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { place = end + 1 }
                return Array(buffer[place..<end])
            }
            buffer.removeFirst(place)
            place = 0
            searched = buffer.count
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 {
                defer { buffer = [] }
                return buffer.isEmpty ? nil : buffer
            }
            buffer += chunk[..<count]
        }
    }
}

/// Write a line to standard output at once; the other end waits for it.
func writeLine(_ bytes: [UInt8]) {
    let line = bytes + [UInt8(ascii: "\n")]
    var written = 0
    line.withUnsafeBytes { buffer in
        while written < buffer.count {
            let count = write(STDOUT_FILENO, buffer.baseAddress! + written, buffer.count - written)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { exit(1) }  // nobody reads any more
            written += count
        }
    }
}
