import java.math.BigDecimal;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.UUID;

/** What JVM tools do through pgjdbc. Prints what failed and the counts. */
public class Verify {
    static final Checks checks = new Checks();
    static final String EXERCISED = "all of DatabaseMetaData, server-prepared binary statements, fetch size, cancel,"
            + " savepoints, batches, every type, simple and extended mode";

    public static void main(String[] arguments) throws Exception {
        checks.run("metadata", () -> Metadata.verify(checks));
        for (String mode : new String[] {"extended", "simple", "extendedForPrepared"}) {
            checks.run("types " + mode, () -> types(mode));
        }
        checks.run("prepared", Verify::prepared);
        checks.run("portals", Verify::portals);
        checks.run("cancel", Verify::cancel);
        checks.run("transactions", Verify::transactions);
        checks.run("batches", Verify::batches);
        checks.run("settings", Verify::settings);
        String version = org.postgresql.util.DriverInfo.DRIVER_VERSION;
        String result = checks.passed + " passed, " + checks.failed + " failed";
        System.out.println("client | pgjdbc | " + version + " | " + EXERCISED + " | " + result);
        System.out.println(result);
        System.exit(checks.failed == 0 ? 0 : 1);
    }

    /** Every type, seven times, so that the last runs are server-prepared and binary. */
    private static void types(String mode) throws Exception {
        OffsetDateTime moment = OffsetDateTime.parse("2026-02-28T23:59:59.999999Z");
        Object[][] values = {
            {"smallint", (short) -7}, {"integer", Integer.MAX_VALUE}, {"bigint", Long.MIN_VALUE}, {"real", 1.5f},
            {"double precision", -2.25e300}, {"numeric(20,4)", new BigDecimal("1234567890.1234")}, {"boolean", true},
            {"text", "zwölf ☃ ' \\"}, {"date", LocalDate.of(2026, 2, 28)}, {"time", LocalTime.of(23, 59, 59)},
            {"timestamp", LocalDateTime.of(2026, 2, 28, 23, 59, 59, 999_999_000)}, {"timestamptz", moment},
            {"uuid", UUID.fromString("123e4567-e89b-12d3-a456-426614174000")},
        };
        try (Connection connection = Checks.connect("preferQueryMode", mode)) {
            for (Object[] pair : values) {
                String sql = "SELECT ?::" + pair[0] + " AS v, NULL::" + pair[0] + " AS n";
                checks.run(mode + " " + pair[0], () -> everyRun(connection, sql, mode + " " + pair[0], pair[1]));
            }
            // In simple mode the driver has no text for bytes.
            checks.run(mode + " bytea", () -> {
                if (mode.equals("simple")) {
                    return;
                }
                PreparedStatement statement = connection.prepareStatement("SELECT ?::bytea");
                statement.setBytes(1, new byte[] {0, (byte) 255, 39, 92});
                ResultSet result = statement.executeQuery();
                result.next();
                checks.equal(mode + " bytea", Arrays.toString(result.getBytes(1)), "[0, -1, 39, 92]");
            });
            checks.run(mode + " array", () -> {
                PreparedStatement statement = connection.prepareStatement("SELECT ?::bigint[], 3 = ANY (?::bigint[])");
                Array array = connection.createArrayOf("int8", new Long[] {1L, null, 3L});
                for (int run = 0; run < 7; run++) {
                    statement.setArray(1, array);
                    statement.setArray(2, array);
                    ResultSet result = statement.executeQuery();
                    result.next();
                    String got = Arrays.toString((Object[]) result.getArray(1).getArray()) + result.getBoolean(2);
                    checks.equal(mode + " array", got, "[1, null, 3]true");
                }
            });
        }
    }

    private static void everyRun(Connection connection, String sql, String name, Object value) throws Exception {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int run = 0; run < 7; run++) {
            statement.setObject(1, value);
            ResultSet result = statement.executeQuery();
            result.next();
            checks.equal(name, result.getObject(1, value.getClass()), value);
            checks.equal(name + " NULL", result.getObject(2), null);
        }
        statement.close();
    }

    private static void prepared() throws Exception {
        try (Connection connection = Checks.connect(); Statement plain = connection.createStatement()) {
            plain.execute("CREATE TABLE jdbc_rows (id bigint, name text, price numeric(10,2), at timestamptz, day date)");
            PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_rows VALUES (?, ?, ?, ?, ?)");
            for (int n = 0; n < 10; n++) {
                insert.setLong(1, n);
                insert.setString(2, n == 3 ? null : "name " + n);
                insert.setBigDecimal(3, BigDecimal.valueOf(n * 25, 2));
                insert.setTimestamp(4, Timestamp.valueOf("2026-01-01 00:00:00"));
                insert.setDate(5, Date.valueOf("2026-01-0" + (n % 9 + 1)));
                checks.equal("insert", insert.executeUpdate(), 1);
            }
            PreparedStatement ask = connection.prepareStatement("SELECT name, price FROM jdbc_rows WHERE id = ? AND day < ?");
            for (int n = 4; n < 10; n++) {
                ask.setInt(1, n);
                ask.setObject(2, LocalDate.of(2027, 1, 1));
                checks.equal("select", Checks.rows(ask.executeQuery(), "name"), "[name " + n + "]");
            }
            checks.equal("parameter type", ask.getParameterMetaData().getParameterTypeName(2), "date");
            checks.equal("result type", ask.getMetaData().getColumnTypeName(2), "numeric");
            plain.execute("ALTER TABLE jdbc_rows ADD COLUMN more text");
            PreparedStatement all = connection.prepareStatement("SELECT * FROM jdbc_rows WHERE id = 1");
            for (int n = 0; n < 7; n++) {
                checks.equal("select *", all.executeQuery().getMetaData().getColumnCount(), 6);
            }
            PreparedStatement unknown = connection.prepareStatement("SELECT count(*) FROM jdbc_rows WHERE name IS NOT DISTINCT FROM ?");
            unknown.setNull(1, Types.VARCHAR);
            checks.equal("NULL parameter", Checks.rows(unknown.executeQuery(), "count"), "[1]");
            plain.execute("SELECT 1 AS a; SELECT 2 AS b");
            checks.equal("several results", plain.getMoreResults() && plain.getResultSet().next(), true);
            plain.setMaxRows(2);
            checks.equal("most rows", Checks.rows(plain.executeQuery("SELECT id FROM jdbc_rows"), "id").size(), 2);
            PreparedStatement returning = connection.prepareStatement("INSERT INTO jdbc_rows (id) VALUES (77)", new String[] {"id"});
            returning.executeUpdate();
            checks.equal("generated keys", Checks.rows(returning.getGeneratedKeys(), "id"), "[77]");
        }
    }

    private static void portals() throws Exception {
        try (Connection connection = Checks.connect()) {
            connection.setAutoCommit(false);
            Statement statement = connection.createStatement();
            statement.setFetchSize(100);
            ResultSet result = statement.executeQuery("SELECT x FROM generate_series(1, 2500) AS g(x)");
            long sum = 0;
            while (result.next()) {
                sum += result.getLong(1);
            }
            checks.equal("fetch size", sum, 2500L * 2501 / 2);
            result = statement.executeQuery("SELECT x FROM generate_series(1, 2500) AS g(x)");
            result.next();
            result.close();
            connection.commit();
        }
    }

    private static void cancel() throws Exception {
        try (Connection connection = Checks.connect(); Statement statement = connection.createStatement()) {
            String slow = "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 10000000) b(y) WHERE x * y % 7 = 3";
            statement.setQueryTimeout(1);
            checks.equal("query timeout", Checks.state(() -> statement.executeQuery(slow)), "57014");
            statement.setQueryTimeout(0);
            Thread thread = new Thread(() -> checks.run("cancel", () -> {
                Thread.sleep(500);
                statement.cancel();
            }));
            thread.start();
            checks.equal("cancel", Checks.state(() -> statement.executeQuery(slow)), "57014");
            thread.join();
            checks.equal("after cancel", Checks.rows(statement.executeQuery("SELECT 1 AS a"), "a"), "[1]");
            checks.equal("is valid", connection.isValid(5), true);
        }
    }

    private static void transactions() throws Exception {
        try (Connection connection = Checks.connect(); Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            checks.equal("isolation", connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
            statement.execute("CREATE TABLE jdbc_saved (id bigint)");
            statement.execute("INSERT INTO jdbc_saved VALUES (1)");
            Savepoint savepoint = connection.setSavepoint("here");
            statement.execute("INSERT INTO jdbc_saved VALUES (2)");
            checks.equal("error", Checks.state(() -> statement.execute("SELECT nothing")), "42703");
            checks.equal("aborted", Checks.state(() -> statement.execute("SELECT 1")), "25P02");
            connection.rollback(savepoint);
            connection.releaseSavepoint(savepoint);
            connection.commit();
            checks.equal("savepoint", Checks.rows(statement.executeQuery("SELECT id FROM jdbc_saved"), "id"), "[1]");
            statement.execute("DELETE FROM jdbc_saved");
            connection.rollback();
            checks.equal("rollback", Checks.rows(statement.executeQuery("SELECT id FROM jdbc_saved"), "id"), "[1]");
            connection.rollback();
            connection.setReadOnly(true);
            checks.equal("read only", Checks.state(() -> statement.execute("DELETE FROM jdbc_saved")), "25006");
        }
        try (Connection connection = Checks.connect("autosave", "always"); Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.execute("INSERT INTO jdbc_saved VALUES (3)");
            checks.equal("autosave", Checks.state(() -> statement.execute("SELECT nothing")), "42703");
            checks.equal("autosave goes on", Checks.rows(statement.executeQuery("SELECT count(*) FROM jdbc_saved"), "count"), "[2]");
            connection.rollback();
        }
    }

    private static void batches() throws Exception {
        for (String rewrite : new String[] {"false", "true"}) {
            try (Connection connection = Checks.connect("reWriteBatchedInserts", rewrite); Statement plain = connection.createStatement()) {
                plain.execute("CREATE TABLE jdbc_batch_" + rewrite + " (id bigint, name text)");
                connection.setAutoCommit(false);
                PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_batch_" + rewrite + " VALUES (?, ?)");
                for (int n = 0; n < 200; n++) {
                    insert.setLong(1, n);
                    insert.setString(2, "n" + n);
                    insert.addBatch();
                }
                checks.equal("batch", insert.executeBatch().length, 200);
                connection.commit();
                checks.equal("rows", Checks.rows(plain.executeQuery("SELECT count(*) FROM jdbc_batch_" + rewrite), "count"), "[200]");
                plain.addBatch("INSERT INTO jdbc_batch_" + rewrite + " VALUES (1, 'a')");
                plain.addBatch("INSERT INTO nothing VALUES (1)");
                try {
                    plain.executeBatch();
                    checks.equal("failing batch", "no error", "42P01");
                } catch (BatchUpdateException error) {
                    checks.equal("failing batch", error.getSQLState(), "42P01");
                }
                connection.rollback();
            }
        }
    }

    private static void settings() throws Exception {
        try (Connection connection = Checks.connect("ApplicationName", "verify", "currentSchema", "jdbc"); Statement statement = connection.createStatement()) {
            checks.equal("schema", connection.getSchema(), "jdbc");
            checks.equal("application name", Checks.rows(statement.executeQuery("SHOW application_name"), "application_name"), "[verify]");
            connection.setSchema("public");
            checks.equal("other schema", connection.getSchema(), "public");
            connection.setClientInfo("ApplicationName", "other");
            checks.equal("client info", connection.getClientInfo("ApplicationName"), "other");
            checks.equal("catalog", connection.getCatalog(), "lake");
        }
    }
}
