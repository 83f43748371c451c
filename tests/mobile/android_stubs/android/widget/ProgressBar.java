package android.widget;

import android.view.View;

public class ProgressBar extends View {
    public int getProgress() { return 0; }
    public void setProgress(int progress) {}
}
