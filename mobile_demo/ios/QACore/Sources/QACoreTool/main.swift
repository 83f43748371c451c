import Foundation
import QACore

// See mobile_demo/contract/qacore.md.
let usage = "usage: qacore serve [--vocab FILE] [--cased] [--keep-accents]\n"

var arguments = CommandLine.arguments.dropFirst()
guard arguments.popFirst() == "serve" else {
    FileHandle.standardError.write(Data(usage.utf8))
    exit(2)
}
var vocabulary: String?
var lowercase = true
var stripAccents = true
while let argument = arguments.popFirst() {
    switch argument {
    case "--vocab" where !arguments.isEmpty: vocabulary = arguments.popFirst()
    case "--cased": lowercase = false
    case "--keep-accents": stripAccents = false
    default:
        FileHandle.standardError.write(
            Data("qacore: unknown argument '\(argument)'\n\(usage)".utf8))
        exit(2)
    }
}
let server = Server(vocabulary: vocabulary, lowercase: lowercase, stripAccents: stripAccents)
var lines = Lines()
while let line = lines.next() {
    writeLine(JSONWriter.bytes(server.answer(line)))
}
