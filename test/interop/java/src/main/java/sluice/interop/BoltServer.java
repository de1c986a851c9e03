package sluice.interop;

import com.alipay.remoting.BizContext;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.SyncUserProcessor;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** A stock SOFABolt server that answers `Echo` as it asks for. */
final class BoltServer {
    private final RpcServer server = new RpcServer("127.0.0.1", 0);
    private final Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();

    BoltServer() {
        ExecutorService executor = Executors.newCachedThreadPool();
        server.registerUserProcessor(
                new SyncUserProcessor<Echo>() {
                    @Override
                    public Object handleRequest(BizContext context, Echo request) throws Exception {
                        return answer(request);
                    }

                    @Override
                    public String interest() {
                        return Echo.class.getName();
                    }

                    @Override
                    public Executor getExecutor() {
                        return executor;
                    }
                });
        server.startup();
    }

    int port() {
        return server.port();
    }

    private Echo answer(Echo request) throws InterruptedException {
        if (request.delayMs > 0) Thread.sleep(request.delayMs);
        switch (request.mode) {
            case "fail":
                throw new IllegalStateException("asked to fail: " + request.key);
            case "null":
                return null;
            case "oneway":
                counts.computeIfAbsent(request.key, key -> new AtomicInteger()).incrementAndGet();
                return null;
            case "count":
                Echo count = Echo.of(request.key, 0);
                AtomicInteger seen = counts.get(request.key);
                count.delayMs = seen == null ? 0 : seen.get();
                return count;
            default:
                return request;
        }
    }
}
