#if canImport(TensorFlowLite)
    import Foundation
    import QACore
    import TensorFlowLite

    /// A `.tflite` with one signature for each length, `length_128` …
    public final class LiteRTModel: QAModel {
        /// Of the phones that this is for, none has fewer fast and middle cores.
        static let threads = 4

        public let engine: EngineInfo
        private let artifact: ArtifactInfo
        private var signatures: [Int: SignatureRunner] = [:]

        public init(_ bundle: ModelBundle) throws(EngineError) {
            artifact = bundle.manifest.artifact
            engine = EngineInfo(
                name: "litert", version: TensorFlowLite.Runtime.version, accelerator: "xnnpack",
                threads: Self.threads)
            do {
                var options = Interpreter.Options()
                options.threadCount = Self.threads
                options.isXNNPackEnabled = true
                let interpreter = try Interpreter(
                    modelPath: bundle.directory.appendingPathComponent(artifact.file).path,
                    options: options)
                for length in artifact.lengths {
                    signatures[length] = try interpreter.signatureRunner(with: "length_\(length)")
                }
            } catch {
                throw EngineError("LiteRT cannot load '\(artifact.file)': \(error)")
            }
        }

        public func run(_ inputs: ModelInputs) throws(EngineError) -> [String: [Float]] {
            guard let signature = signatures[inputs.length] else {
                throw EngineError("the artifact has no length \(inputs.length)")
            }
            do {
                var rows: [String: Data] = [:]
                for tensor in artifact.inputs {
                    rows[tensor.name] = try inputs.row(tensor.name).withUnsafeBytes { Data($0) }
                }
                try signature.invoke(with: rows)
                var byRole: [String: [Float]] = [:]
                for tensor in artifact.outputs {
                    let data = try signature.output(named: tensor.name).data
                    byRole[tensor.role] = data.withUnsafeBytes {
                        Array($0.bindMemory(to: Float.self))
                    }
                }
                return byRole
            } catch let error as EngineError {
                throw error
            } catch {
                throw EngineError("LiteRT cannot run '\(artifact.file)': \(error)")
            }
        }
    }
#endif
