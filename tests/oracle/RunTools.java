import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after another in one Java process, which is many times faster than one process each.
 * RunTools FILE FOLDER: a line of FILE is NAME, main class, a file for standard input ("" for none) and the arguments, with
 * tabs between. NAME.out, NAME.err and NAME.status in FOLDER get what came of it. RunTools alone reads lines of FILE, tab, FOLDER from standard input, and
 * answers each with a line when it is done.
 */
public class RunTools {
    static class Ended extends Error {
        Ended() {
            super("ended");
        }
    }

    static Integer status;
    static final List<Runnable> hooks = new ArrayList<>();

    static void end(int code) {
        if (status == null) {
            status = code; // a tool that catches all calls exit again, and prints what it caught
            System.setOut(new PrintStream(OutputStream.nullOutputStream()));
            System.setErr(new PrintStream(OutputStream.nullOutputStream()));
        }
        throw new Ended();
    }

    /** ConsoleConsumer counts in a static field. */
    static void forget(Class<?> type) throws Exception {
        for (Field f : type.getDeclaredFields()) {
            if (f.getName().equals("messageCount")) {
                f.setAccessible(true);
                f.setInt(null, 0);
            }
        }
    }

    static void run(String[] words, Path folder) throws Exception {
        PrintStream out = System.out, err = System.err;
        InputStream in = System.in;
        ByteArrayOutputStream o = new ByteArrayOutputStream(), e = new ByteArrayOutputStream();
        System.setOut(new PrintStream(o, true));
        System.setErr(new PrintStream(e, true));
        System.setIn(words[2].isEmpty() ? InputStream.nullInputStream() : new ByteArrayInputStream(Files.readAllBytes(Path.of(words[2]))));
        status = null;
        try {
            Class<?> type = Class.forName(words[1]);
            forget(type);
            type.getMethod("main", String[].class).invoke(null, (Object) Arrays.copyOfRange(words, 3, words.length));
        } catch (InvocationTargetException x) {
            if (!(x.getCause() instanceof Ended)) {
                x.getCause().printStackTrace();
                status = status == null ? 1 : status;
            }
        } finally {
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
        }
        for (Runnable hook : hooks) {
            hook.run(); // the producer closes in one
        }
        hooks.clear();
        Files.write(folder.resolve(words[0] + ".out"), o.toByteArray());
        Files.write(folder.resolve(words[0] + ".err"), e.toByteArray());
        Files.writeString(folder.resolve(words[0] + ".status"), String.valueOf(status == null ? 0 : status));
    }

    static void plan(String file, String folder) throws Exception {
        for (String line : Files.readAllLines(Path.of(file))) {
            run(line.split("\t", -1), Path.of(folder));
        }
    }

    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> {
            if (name.contains("producer")) {
                hooks.add(hook);
            }
        });
        if (args.length > 0) {
            plan(args[0], args[1]);
        } else {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                plan(line.split("\t")[0], line.split("\t")[1]);
                System.out.println("done");
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
