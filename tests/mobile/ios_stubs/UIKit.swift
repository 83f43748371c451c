// What reading the device uses of UIKit.

@MainActor open class UIDevice {
    public enum BatteryState: Sendable { case unknown, unplugged, charging, full }

    public static let current = UIDevice()
    public var isBatteryMonitoringEnabled = false
    public var batteryLevel: Float = 0
    public var batteryState = BatteryState.unknown
}
