package android.text;

public abstract class Layout {
    public abstract int getLineTop(int line);
    public int getLineForOffset(int offset) { return 0; }
}
