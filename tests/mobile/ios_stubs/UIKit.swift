// What the app and reading the device use of UIKit.

@MainActor open class UIDevice {
    public enum BatteryState: Sendable { case unknown, unplugged, charging, full }

    public static let current = UIDevice()
    public var isBatteryMonitoringEnabled = false
    public var batteryLevel: Float = 0
    public var batteryState = BatteryState.unknown
}

@MainActor open class UIApplication {
    public static let shared = UIApplication()
    public var isIdleTimerDisabled = false
}
