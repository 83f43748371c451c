#if canImport(CoreML)
    import CoreML
    import Foundation
    import QACore

    /// An `.mlpackage`, compiled on the device once, before it is first loaded.
    ///
    /// Several lengths are functions of one package (`length_128` …), which iOS 18 can call.
    public final class CoreMLModel: QAModel {
        public let engine: EngineInfo
        private let artifact: ArtifactInfo
        private var models: [Int: MLModel] = [:]

        /// The simulator has no neural engine, and its GPU answers otherwise than a phone's.
        public static var defaultUnits: MLComputeUnits {
            #if targetEnvironment(simulator)
                .cpuOnly
            #else
                .all
            #endif
        }

        /// Compile the package, unless that was done before.
        public static func prepare(_ bundle: ModelBundle) async throws(EngineError) {
            let artifact = bundle.manifest.artifact
            let package = bundle.directory.appendingPathComponent(artifact.file, isDirectory: true)
            let embedded = BundleLibrary.list(in: bundle.directory.deletingLastPathComponent())
            do {
                try await CompiledModels.standard().prepare(
                    artifact.sha256,
                    wanted: embedded.compactMap { try? $0.manifest.get().artifact.sha256 }
                ) {
                    try await MLModel.compileModel(at: package)
                }
            } catch {
                throw EngineError("Core ML cannot compile '\(artifact.file)': \(error)")
            }
        }

        /// Load a package that was compiled by `prepare`.
        public init(
            _ bundle: ModelBundle, computeUnits: MLComputeUnits = CoreMLModel.defaultUnits
        ) throws(EngineError) {
            artifact = bundle.manifest.artifact
            engine = EngineInfo(
                name: "coreml", version: ProcessInfo.processInfo.operatingSystemVersionString,
                accelerator: Self.name(computeUnits))
            do {
                guard let compiled = try CompiledModels.standard().find(artifact.sha256) else {
                    throw EngineError("'\(artifact.file)' has to be compiled before it is loaded")
                }
                for length in artifact.lengths {
                    models[length] = try Self.load(compiled, length, artifact, computeUnits)
                }
            } catch let error as EngineError {
                throw error
            } catch {
                throw EngineError("Core ML cannot load '\(artifact.file)': \(error)")
            }
        }

        public func run(_ inputs: ModelInputs) throws(EngineError) -> [String: [Float]] {
            guard let model = models[inputs.length] else {
                throw EngineError("the artifact has no length \(inputs.length)")
            }
            do {
                var features: [String: MLFeatureValue] = [:]
                for tensor in artifact.inputs {
                    let row = try inputs.row(tensor.name)
                    let array = MLShapedArray<Int32>(scalars: row, shape: [1, row.count])
                    features[tensor.name] = MLFeatureValue(shapedArray: array)
                }
                let provider = try MLDictionaryFeatureProvider(dictionary: features)
                let outputs = try model.prediction(from: provider)
                var byRole: [String: [Float]] = [:]
                for tensor in artifact.outputs {
                    guard let array = outputs.featureValue(for: tensor.name)?.multiArrayValue else {
                        throw EngineError("the artifact has no output '\(tensor.name)'")
                    }
                    byRole[tensor.role] = MLShapedArray<Float>(converting: array).scalars
                }
                return byRole
            } catch let error as EngineError {
                throw error
            } catch {
                throw EngineError("Core ML cannot run '\(artifact.file)': \(error)")
            }
        }

        private static func load(
            _ compiled: URL, _ length: Int, _ artifact: ArtifactInfo, _ units: MLComputeUnits
        ) throws -> MLModel {
            let configuration = MLModelConfiguration()
            configuration.computeUnits = units
            if let function = Engines.name("length", length, of: artifact.lengths) {
                guard #available(iOS 18, macOS 15, *) else {
                    throw EngineError("an artifact of several lengths needs iOS 18")
                }
                configuration.functionName = function
            }
            return try MLModel(contentsOf: compiled, configuration: configuration)
        }

        private static func name(_ units: MLComputeUnits) -> String {
            switch units {
            case .cpuOnly: "cpu"
            case .cpuAndGPU: "gpu"
            case .cpuAndNeuralEngine: "ane"
            default: "all"
            }
        }
    }
#endif
