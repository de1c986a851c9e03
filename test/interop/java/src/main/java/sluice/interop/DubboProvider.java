package sluice.interop;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;

/** A stock Dubbo provider without a registry. */
final class DubboProvider implements Greeter {
    /** 127.0.0.1 as one number: Dubbo takes every usual way to write it for "this machine" and binds, or connects, to the machine's address in the network. */
    static final String LOOPBACK = "2130706433";

    private final String name;
    private final int port;
    private final DubboBootstrap bootstrap;
    private final Map<String, AtomicInteger> notes = new ConcurrentHashMap<>();
    private final AtomicInteger answered = new AtomicInteger();

    DubboProvider(String name) throws Exception {
        this.name = name;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            port = free.getLocalPort();
        }
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        protocol.setHost(LOOPBACK);
        protocol.setSerialization("hessian2");
        protocol.setPreferSerialization("hessian2,fastjson2");
        ServiceConfig<Greeter> service = new ServiceConfig<>();
        service.setInterface(Greeter.class);
        service.setRef(this);
        ApplicationConfig application = new ApplicationConfig("sluice-interop-" + name);
        application.setQosEnable(false);
        bootstrap = DubboBootstrap.newInstance();
        bootstrap.application(application).registry(new RegistryConfig("N/A")).protocol(protocol).service(service).start();
    }

    int port() {
        return port;
    }

    /** Stops as Dubbo does at the end of a process: tells the consumers, waits for what is in flight, closes. Gives how many requests it has answered. */
    int stop() {
        bootstrap.destroy();
        return answered.get();
    }

    @Override
    public Echo echo(Echo request) {
        sleep(request.delayMs);
        answered.incrementAndGet();
        return request.mode.equals("null") ? null : request;
    }

    @Override
    public String hello(String who, int times, List<String> words, Map<String, Long> numbers) {
        return who + " " + times + " " + words + " " + new TreeMap<>(numbers);
    }

    @Override
    public CompletableFuture<String> later(String who, int delayMs) {
        return CompletableFuture.supplyAsync(() -> "later " + who, CompletableFuture.delayedExecutor(delayMs, TimeUnit.MILLISECONDS));
    }

    @Override
    public void note(String key) {
        notes.computeIfAbsent(key, any -> new AtomicInteger()).incrementAndGet();
    }

    @Override
    public int noted(String key) {
        AtomicInteger count = notes.get(key);
        return count == null ? 0 : count.get();
    }

    @Override
    public String fail(String key, boolean isChecked) throws GreetingException {
        if (isChecked) throw new GreetingException("checked " + key);
        throw new IllegalStateException("unchecked " + key);
    }

    @Override
    public String attachment(String attachment) {
        String value = RpcContext.getServerAttachment().getAttachment(attachment);
        RpcContext.getServerResponseContext().setAttachment("answer-" + attachment, value);
        return value;
    }

    @Override
    public String who() {
        sleep(2);
        answered.incrementAndGet();
        return name;
    }

    private static void sleep(int ms) {
        try {
            if (ms > 0) Thread.sleep(ms);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
