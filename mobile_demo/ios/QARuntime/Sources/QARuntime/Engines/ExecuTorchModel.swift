#if canImport(ExecuTorch)
    import ExecuTorch
    import Foundation
    import QACore

    /// A `.pte`: one method for each length, `forward` or `forward_128` …
    ///
    /// Inputs and outputs have no names in the file; they are in the manifest's order.
    public final class ExecuTorchModel: QAModel {
        /// As in Package.swift: the runtime does not say its own.
        static let version = "1.5.1"

        public let engine: EngineInfo
        private let artifact: ArtifactInfo
        private let module: Module
        private let vocabularySize: Int

        public init(_ bundle: ModelBundle) throws(EngineError) {
            artifact = bundle.manifest.artifact
            engine = EngineInfo(
                name: "executorch", version: Self.version, accelerator: "xnnpack")
            module = Module(
                filePath: bundle.directory.appendingPathComponent(artifact.file).path,
                loadMode: .mmap)
            do {
                // A constant method, as `ondevice` writes it into the program.
                let nothing: [ValueConvertible] = []
                let size = try module.execute("get_vocab_size", nothing).first
                guard let size, size.isInteger else {
                    throw EngineError("'\(artifact.file)' does not say its vocabulary's size")
                }
                vocabularySize = size.integer
                for length in artifact.lengths { try module.load(method(length)) }
            } catch let error as EngineError {
                throw error
            } catch {
                throw EngineError("ExecuTorch cannot load '\(artifact.file)': \(error)")
            }
        }

        public func run(_ inputs: ModelInputs) throws(EngineError) -> [String: [Float]] {
            // An id beyond the table would end the process inside the lookup's kernel.
            try inputs.checkIDs(vocabularySize: vocabularySize)
            do {
                let tensors = try artifact.inputs.map { tensor in
                    Tensor<Int32>(try inputs.row(tensor.name), shape: [1, inputs.length])
                }
                let values = try module.execute(method(inputs.length), tensors)
                guard values.count == artifact.outputs.count else {
                    throw EngineError("the artifact has \(values.count) outputs")
                }
                var byRole: [String: [Float]] = [:]
                for (tensor, value) in zip(artifact.outputs, values) {
                    guard let found: Tensor<Float> = value.tensor() else {
                        throw EngineError("the output '\(tensor.name)' is not of float32")
                    }
                    byRole[tensor.role] = found.scalars()
                }
                return byRole
            } catch let error as EngineError {
                throw error
            } catch {
                throw EngineError("ExecuTorch cannot run '\(artifact.file)': \(error)")
            }
        }

        private func method(_ length: Int) -> String {
            Engines.name("forward", length, of: artifact.lengths) ?? "forward"
        }
    }
#endif
