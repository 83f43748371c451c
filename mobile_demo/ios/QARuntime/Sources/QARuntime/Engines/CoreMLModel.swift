#if canImport(CoreML)
    import CoreML
    import Foundation
    import QACore

    /// An `.mlpackage`, compiled on the device once and kept in the caches directory.
    ///
    /// Several lengths are functions of one package (`length_128` …), which iOS 18 can call.
    public final class CoreMLModel: QAModel {
        public let engine: EngineInfo
        private let artifact: ArtifactInfo
        private var models: [Int: MLModel] = [:]

        public init(
            _ bundle: ModelBundle, computeUnits: MLComputeUnits = .all
        ) throws(EngineError) {
            artifact = bundle.manifest.artifact
            engine = EngineInfo(
                name: "coreml", version: ProcessInfo.processInfo.operatingSystemVersionString,
                accelerator: Self.name(computeUnits))
            do {
                let compiled = try Self.compile(bundle)
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

        /// The artifact's hash is part of the name, so that another artifact is compiled anew.
        private static func compile(_ bundle: ModelBundle) throws -> URL {
            let caches = try FileManager.default.url(
                for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
            let kept = caches.appendingPathComponent(
                "\(bundle.manifest.artifact.sha256).mlmodelc", isDirectory: true)
            if FileManager.default.fileExists(atPath: kept.path) { return kept }
            let package = bundle.directory.appendingPathComponent(
                bundle.manifest.artifact.file, isDirectory: true)
            let compiled = try MLModel.compileModel(at: package)
            // Renamed as a whole: a compilation that was cut off leaves nothing behind.
            try FileManager.default.moveItem(at: compiled, to: kept)
            return kept
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
