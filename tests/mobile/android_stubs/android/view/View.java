package android.view;

import android.content.Context;
import android.os.IBinder;

public class View {
    public static final int VISIBLE = 0;
    public static final int INVISIBLE = 4;

    public interface OnClickListener {
        void onClick(View view);
    }

    public void setOnClickListener(OnClickListener listener) {}
    public void setEnabled(boolean enabled) {}
    public boolean isEnabled() { return false; }
    public void setVisibility(int visibility) {}
    public int getVisibility() { return 0; }
    public final <T extends View> T findViewById(int id) { return null; }
    public final Context getContext() { return null; }
    public IBinder getWindowToken() { return null; }
}
