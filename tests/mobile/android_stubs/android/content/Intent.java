package android.content;

public class Intent {
    public static final String ACTION_BATTERY_CHANGED = "android.intent.action.BATTERY_CHANGED";
    public static final String ACTION_SEND = "android.intent.action.SEND";
    public static final String EXTRA_TEXT = "android.intent.extra.TEXT";
    public static final String EXTRA_TITLE = "android.intent.extra.TITLE";

    public Intent(String action) {}
    public Intent(Context context, Class<?> type) {}
    public static Intent createChooser(Intent target, CharSequence title) { return null; }
    public Intent setType(String type) { return this; }
    public Intent putExtra(String name, String value) { return this; }
    public int getIntExtra(String name, int defaultValue) { return 0; }
    public String getStringExtra(String name) { return null; }
}
