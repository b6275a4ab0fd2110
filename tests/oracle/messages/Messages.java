// Reads lines "name<TAB>version<TAB>hex" and says what Kafka's own class makes of the bytes: a line of JSON, or
// "error <TAB> exception". Records fields are left out, as Kafka's converters do.
import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;

public class Messages {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message", "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated", "org.apache.kafka.coordinator.share.generated",
        "org.apache.kafka.coordinator.transaction.generated", "org.apache.kafka.server.log.remote.metadata.storage.generated",
        "org.apache.kafka.raft.generated", "org.apache.kafka.storage.internals.log.generated",
    };

    private record Kind(Class<?> data, Method write) {}

    private static final Map<String, Kind> KINDS = new HashMap<>();

    private static Kind find(String name) {
        for (String p : PACKAGES) {
            for (String suffix : new String[] {"Data", ""}) {
                try {
                    Class<?> data = Class.forName(p + "." + name + suffix);
                    Class<?> json = Class.forName(p + "." + name + suffix + "JsonConverter");
                    return new Kind(data, json.getMethod("write", data, short.class));
                } catch (ReflectiveOperationException e) {
                    continue;
                }
            }
        }
        return null;
    }

    private static String answer(String[] col) throws ReflectiveOperationException {
        Kind k = KINDS.computeIfAbsent(col[0], Messages::find);
        if (k == null) {
            return "none";
        }
        short version = Short.parseShort(col[1]);
        ByteBuffer in = ByteBuffer.wrap(col.length > 2 ? HexFormat.of().parseHex(col[2]) : new byte[0]);
        try {
            ApiMessage m = (ApiMessage) k.data().getConstructor().newInstance();
            m.read(new ByteBufferAccessor(in), version);
            JsonNode json = (JsonNode) k.write().invoke(null, m, version);
            return in.remaining() + "\t" + json;
        } catch (InvocationTargetException e) {
            return "error\t" + e.getCause();
        } catch (RuntimeException | OutOfMemoryError e) {
            return "error\t" + e;
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(line.split("\t")).replace('\n', ' '));
        }
        out.flush();
    }
}
