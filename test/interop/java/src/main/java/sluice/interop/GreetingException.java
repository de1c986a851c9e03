package sluice.interop;

/** An exception that the service declares. */
public class GreetingException extends Exception {
    private static final long serialVersionUID = 1L;

    public GreetingException() {}

    public GreetingException(String message) {
        super(message);
    }
}
