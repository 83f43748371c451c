package android.content.res;

public class Resources {
    public String[] getStringArray(int id) { return null; }
}
