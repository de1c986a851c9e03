package sluice.interop;

import com.alipay.remoting.config.Configs;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * A peer that is told on standard input what to do, a line each, and answers on standard output:
 *
 * <pre>
 *   COMMAND NAME=VALUE ...
 *   result NAME=VALUE ...       of a command that gives something: a port, a count
 *   case NAME ok                of each case of a client
 *   case NAME failed: WHY
 *   done                        the command is over; or `error WHY`
 * </pre>
 *
 * It ends with its standard input.
 */
public final class Peer {
    public static void main(String[] arguments) throws Exception {
        // A Bolt client refuses to send while 64 KB of its own wait, which some megabytes always do.
        System.setProperty(Configs.NETTY_BUFFER_HIGH_WATERMARK, String.valueOf(64 << 20));
        BoltServer boltServer = null;
        DubboProvider provider = null;
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" +");
            Map<String, String> options = new HashMap<>();
            for (int i = 1; i < words.length; i++) options.put(words[i].split("=", 2)[0], words[i].split("=", 2)[1]);
            try {
                switch (words[0]) {
                    case "bolt-server":
                        boltServer = new BoltServer();
                        Say.result("port=" + boltServer.port());
                        break;
                    case "bolt-client":
                        BoltCases.run(Integer.parseInt(options.get("port")), options.get("version"));
                        break;
                    case "dubbo-provider":
                        provider = new DubboProvider(options.get("name"));
                        Say.result("port=" + provider.port());
                        break;
                    case "dubbo-provider-stop":
                        Say.result("answered=" + provider.stop());
                        break;
                    case "dubbo-consumer":
                        DubboCases.run(Integer.parseInt(options.get("port")), options.get("serialization"));
                        break;
                    case "dubbo-steady":
                        DubboCases.steady(Integer.parseInt(options.get("port")), Integer.parseInt(options.get("ms")));
                        break;
                    default:
                        throw new IllegalArgumentException("no command " + words[0]);
                }
                Say.line("done");
            } catch (Throwable failure) {
                Say.line("error " + Say.oneLine(failure));
            }
        }
        // Threads of the libraries would keep the process.
        Runtime.getRuntime().halt(0);
    }
}
