package android.widget;

import android.view.View;

public abstract class AdapterView<T extends Adapter> extends View {
    public interface OnItemSelectedListener {
        void onItemSelected(AdapterView<?> parent, View view, int position, long id);
        void onNothingSelected(AdapterView<?> parent);
    }

    public void setOnItemSelectedListener(OnItemSelectedListener listener) {}
    public final OnItemSelectedListener getOnItemSelectedListener() { return null; }
    public Object getSelectedItem() { return null; }
    public int getSelectedItemPosition() { return 0; }
    public abstract T getAdapter();
    public abstract void setAdapter(T adapter);
    public void setSelection(int position) {}
}
