import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Properties;

/** Checks that are counted, and connections to the server that is named by TARN_HOST and TARN_PORT. */
class Checks {
    interface Work {
        void run() throws Exception;
    }

    int passed;
    int failed;

    static Connection connect(String... settings) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", "tarn");
        for (int at = 0; at < settings.length; at += 2) {
            properties.setProperty(settings[at], settings[at + 1]);
        }
        String server = System.getenv("TARN_HOST") + ":" + System.getenv("TARN_PORT");
        return DriverManager.getConnection("jdbc:postgresql://" + server + "/lake", properties);
    }

    void equal(String name, Object got, Object expected) {
        if (Objects.equals(String.valueOf(got), String.valueOf(expected))) {
            passed++;
        } else {
            failed++;
            System.out.println("  JDBC: " + name + ": got " + got + ", expected " + expected);
        }
    }

    void run(String name, Work work) {
        try {
            work.run();
        } catch (Exception error) {
            failed++;
            StackTraceElement place = null;
            for (StackTraceElement step : error.getStackTrace()) {
                if (place == null && List.of("Verify", "Metadata").contains(step.getClassName().split("\\$")[0])) {
                    place = step;
                }
            }
            String message = String.valueOf(error.getMessage()).replace('\n', ' ');
            System.out.println("  JDBC: " + name + ", " + place + ": " + message);
        }
    }

    /** The SQLSTATE that a piece of work ends with. */
    static String state(Work work) throws Exception {
        try {
            work.run();
        } catch (SQLException error) {
            return error.getSQLState();
        }
        return "no error";
    }

    /** The values of some columns of every row, `a|b`. */
    static List<String> rows(ResultSet result, String... columns) throws SQLException {
        List<String> rows = new ArrayList<>();
        while (result.next()) {
            List<String> values = new ArrayList<>();
            for (String column : columns) {
                values.add(result.getString(column));
            }
            rows.add(String.join("|", values.stream().map(String::valueOf).toList()));
        }
        result.close();
        return rows;
    }
}
