// What the ExecuTorch engine uses of ExecuTorch's Swift package (1.x).

public protocol ValueConvertible {}

public struct Tensor<Scalar>: ValueConvertible {
    public init(_ scalars: [Scalar], shape: [Int] = []) {}
    public func scalars() -> [Scalar] { [] }
}

open class Value: ValueConvertible {
    public var isInteger: Bool { false }
    public var integer: Int { 0 }
    public func tensor<Scalar>() -> Tensor<Scalar>? { nil }
}

public enum ModuleLoadMode { case file, mmap, mmapUseMlock, mmapUseMlockIgnoreErrors }

open class Module {
    public init(filePath: String, loadMode: ModuleLoadMode = .file) {}
    public func load(_ method: String) throws {}
    public func execute(_ method: String, _ inputs: [ValueConvertible]) throws -> [Value] { [] }
}
