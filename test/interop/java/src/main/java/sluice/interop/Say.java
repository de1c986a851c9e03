package sluice.interop;

/** What a peer says on standard output, for the test that started it. */
final class Say {
    interface Body {
        void run() throws Exception;
    }

    private Say() {}

    static synchronized void line(String text) {
        System.out.println(text);
        System.out.flush();
    }

    static void result(String text) {
        line("result " + text);
    }

    /** Runs a case and says how it ended. */
    static void testCase(String name, Body body) {
        try {
            body.run();
            line("case " + name + " ok");
        } catch (Throwable failure) {
            line("case " + name + " failed: " + oneLine(failure));
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) throw new AssertionError(otherwise);
    }

    static String oneLine(Throwable failure) {
        StringBuilder text = new StringBuilder();
        for (Throwable cause = failure; cause != null && text.length() < 2000; cause = cause.getCause()) {
            if (text.length() > 0) text.append(" <- ");
            text.append(cause);
            for (StackTraceElement frame : cause.getStackTrace()) {
                if (!frame.getClassName().startsWith("sluice.")) continue;
                text.append(" at ").append(frame);
                break;
            }
        }
        return text.toString().replaceAll("\\s+", " ");
    }
}
