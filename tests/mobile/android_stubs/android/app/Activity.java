package android.app;

import android.content.Context;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.Window;

public class Activity extends Context {
    protected void onCreate(Bundle savedInstanceState) {}
    protected void onStop() {}
    protected void onDestroy() {}
    public void setContentView(int layout) {}
    public <T extends View> T findViewById(int id) { return null; }
    public Window getWindow() { return null; }
    public Intent getIntent() { return null; }
    public void startActivity(Intent intent) {}
    public final void runOnUiThread(Runnable action) {}
    public boolean isFinishing() { return false; }
    public boolean isDestroyed() { return false; }
}
