package org.junit;

public class Assert {
    public static void assertTrue(String message, boolean condition) {}
    public static void assertFalse(String message, boolean condition) {}
    public static void assertEquals(Object expected, Object actual) {}
    public static void assertEquals(String message, Object expected, Object actual) {}
    public static void assertNotNull(String message, Object object) {}
    public static void assertNull(String message, Object object) {}
}
