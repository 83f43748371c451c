/// What the device told about itself at one moment.
public struct DeviceState: Sendable, Equatable {
    public var thermal: String?
    public var batteryPercent: Double?
    public var charging: Bool?
    public var lowPower: Bool?

    public init(
        thermal: String? = nil, batteryPercent: Double? = nil, charging: Bool? = nil,
        lowPower: Bool? = nil
    ) {
        self.thermal = thermal
        self.batteryPercent = batteryPercent
        self.charging = charging
        self.lowPower = lowPower
    }
}

/// Where it runs.
public struct Device: Sendable, Equatable {
    /// As the device names itself: "iPhone15,4".
    public let name: String
    /// A simulator, or a Mac that runs the app: its times are not a phone's.
    public let isVirtual: Bool
    public let os: String
    public let osVersion: String
    public let cores: Int
    public let memoryBytes: Int

    public init(
        name: String, isVirtual: Bool, os: String, osVersion: String, cores: Int, memoryBytes: Int
    ) {
        self.name = name
        self.isVirtual = isVirtual
        self.os = os
        self.osVersion = osVersion
        self.cores = cores
        self.memoryBytes = memoryBytes
    }
}

/// Memory of the process, bytes.
public struct Memory: Sendable, Equatable {
    public let peak: Int
    public let method: String

    public init(peak: Int, method: String) {
        self.peak = peak
        self.method = method
    }
}
