import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.Statement;
import java.util.List;

/** DatabaseMetaData: every question that a tool asks about the catalog. */
class Metadata {
    static final String[] NAMES = {"TABLE_NAME"};

    static void verify(Checks checks) throws Exception {
        try (Connection connection = Checks.connect(); Statement statement = connection.createStatement()) {
            statement.execute("CREATE SCHEMA jdbc");
            statement.execute("CREATE TABLE jdbc.orders (id bigint NOT NULL, name text, price numeric(12,2), at timestamptz,"
                    + " on_day date, tags text[], good boolean, code varchar, raw bytea, key uuid, doc jsonb)");
            statement.execute("COMMENT ON TABLE jdbc.orders IS 'every order'");
            statement.execute("COMMENT ON COLUMN jdbc.orders.price IS 'in euro'");
            statement.execute("CREATE VIEW jdbc.big AS SELECT id FROM jdbc.orders");
            statement.execute("CREATE SCHEMA keyed");
            statement.execute("CREATE TABLE keyed.parent (id bigint PRIMARY KEY, code varchar(8) UNIQUE, country char(2))");
            statement.execute("CREATE TABLE keyed.line (number integer, parent bigint REFERENCES keyed.parent ON DELETE CASCADE,"
                    + " CONSTRAINT line_key PRIMARY KEY (parent, number))");
            statement.execute("CREATE ROLE jdbc_reader");
            statement.execute("GRANT SELECT ON jdbc.orders TO jdbc_reader");
            DatabaseMetaData metadata = connection.getMetaData();
            checks.run("facts", () -> facts(checks, metadata));
            checks.run("relations", () -> relations(checks, metadata));
            checks.run("columns", () -> columns(checks, metadata));
            checks.run("keys", () -> keys(checks, metadata));
            checks.run("rights", () -> rights(checks, metadata));
            checks.run("types and functions", () -> typesAndFunctions(checks, metadata));
            checks.run("result metadata", () -> resultMetadata(checks, statement));
        }
    }

    private static void facts(Checks checks, DatabaseMetaData metadata) throws Exception {
        checks.equal("product", metadata.getDatabaseProductName() + " " + metadata.getDatabaseMajorVersion(), "PostgreSQL 15");
        checks.equal("user", metadata.getUserName(), "tarn");
        checks.equal("SQL keywords", metadata.getSQLKeywords().contains("analyze"), true);
        checks.equal("isolation", metadata.getDefaultTransactionIsolation() > 0, true);
        checks.equal("longest name", metadata.getMaxColumnNameLength() >= 63, true);
        checks.equal("savepoints", metadata.supportsSavepoints(), true);
        checks.equal("client info", Checks.rows(metadata.getClientInfoProperties(), "NAME"), "[ApplicationName]");
        checks.equal("table types", Checks.rows(metadata.getTableTypes(), "TABLE_TYPE").contains("VIEW"), true);
    }

    private static void relations(Checks checks, DatabaseMetaData metadata) throws Exception {
        checks.equal("catalogs", Checks.rows(metadata.getCatalogs(), "TABLE_CAT"), "[lake]");
        List<String> schemas = Checks.rows(metadata.getSchemas(), "TABLE_SCHEM");
        checks.equal("schemas", schemas.containsAll(List.of("jdbc", "public", "pg_catalog")), true);
        checks.equal("schemas like", Checks.rows(metadata.getSchemas("lake", "jd%"), "TABLE_SCHEM"), "[jdbc]");
        checks.equal("tables", Checks.rows(metadata.getTables(null, "jdbc", "%", null), "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
                "[orders|TABLE|every order, big|VIEW|null]");
        checks.equal("tables of a type", Checks.rows(metadata.getTables("lake", "jdbc", null, new String[] {"VIEW"}), NAMES), "[big]");
        List<String> system = Checks.rows(metadata.getTables(null, "pg_catalog", "pg_cla%", new String[] {"SYSTEM TABLE"}), NAMES);
        checks.equal("system tables", system, "[pg_class]");
    }

    private static void columns(Checks checks, DatabaseMetaData metadata) throws Exception {
        ResultSet columns = metadata.getColumns("lake", "jdbc", "orders", null);
        checks.equal("columns", Checks.rows(columns, "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "NULLABLE"),
                "[id|int8|19|0, name|text|2147483647|1, price|numeric|12|1, at|timestamptz|35|1, on_day|date|13|1,"
                        + " tags|_text|2147483647|1, good|bool|1|1, code|varchar|2147483647|1, raw|bytea|2147483647|1, key|uuid|2147483647|1,"
                        + " doc|text|2147483647|1]");
        checks.equal("column comment", Checks.rows(metadata.getColumns(null, "jdbc", "orders", "pri%"), "REMARKS"), "[in euro]");
        checks.equal("columns of a view", Checks.rows(metadata.getColumns(null, "jdbc", "big", "%"), "COLUMN_NAME", "DATA_TYPE"), "[id|-5]");
    }

    private static void keys(Checks checks, DatabaseMetaData metadata) throws Exception {
        checks.equal("primary keys", Checks.rows(metadata.getPrimaryKeys(null, "jdbc", "orders"), "COLUMN_NAME"), "[]");
        checks.equal("imported keys", Checks.rows(metadata.getImportedKeys(null, "jdbc", "orders"), "FKCOLUMN_NAME"), "[]");
        checks.equal("exported keys", Checks.rows(metadata.getExportedKeys(null, "jdbc", "orders"), "FKCOLUMN_NAME"), "[]");
        ResultSet cross = metadata.getCrossReference(null, "jdbc", "orders", null, "jdbc", "big");
        checks.equal("cross reference", Checks.rows(cross, "FKCOLUMN_NAME"), "[]");
        checks.equal("indexes", Checks.rows(metadata.getIndexInfo(null, "jdbc", "orders", false, true), "INDEX_NAME"), "[]");
        ResultSet best = metadata.getBestRowIdentifier(null, "jdbc", "orders", DatabaseMetaData.bestRowSession, false);
        checks.equal("best row identifier", Checks.rows(best, "COLUMN_NAME"), "[]");
        checks.equal("version columns", Checks.rows(metadata.getVersionColumns(null, "jdbc", "orders"), "COLUMN_NAME"), "[ctid]");
        // The tables with keys are in a schema of their own.
        checks.equal("a primary key", Checks.rows(metadata.getPrimaryKeys(null, "keyed", "line"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"),
                "[parent|1|line_key, number|2|line_key]");
        ResultSet imported = metadata.getImportedKeys(null, "keyed", "line");
        checks.equal("an imported key", Checks.rows(imported, "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME", "DELETE_RULE", "FK_NAME", "PK_NAME"),
                "[parent|id|parent|0|line_parent_fkey|parent_pkey]");
        ResultSet exported = metadata.getExportedKeys(null, "keyed", "parent");
        checks.equal("an exported key", Checks.rows(exported, "FKTABLE_NAME", "FKCOLUMN_NAME"), "[line|parent]");
        ResultSet between = metadata.getCrossReference(null, "keyed", "parent", null, "keyed", "line");
        checks.equal("a cross reference", Checks.rows(between, "FKCOLUMN_NAME"), "[parent]");
        checks.equal("declared indexes", Checks.rows(metadata.getIndexInfo(null, "keyed", "parent", true, true), "INDEX_NAME", "COLUMN_NAME"),
                "[parent_code_key|code, parent_pkey|id]");
        ResultSet identifier = metadata.getBestRowIdentifier(null, "keyed", "parent", DatabaseMetaData.bestRowSession, false);
        checks.equal("a best row identifier", Checks.rows(identifier, "COLUMN_NAME"), "[id]");
        ResultSet sized = metadata.getColumns(null, "keyed", "parent", "c%");
        checks.equal("lengths", Checks.rows(sized, "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE"), "[code|varchar|8, country|bpchar|2]");
    }

    private static void rights(Checks checks, DatabaseMetaData metadata) throws Exception {
        List<String> rights = Checks.rows(metadata.getTablePrivileges(null, "jdbc", "orders"), "GRANTEE", "PRIVILEGE");
        checks.equal("table privileges", rights.contains("jdbc_reader|SELECT") && rights.contains("tarn|INSERT"), true);
        rights = Checks.rows(metadata.getColumnPrivileges(null, "jdbc", "orders", "price"), "COLUMN_NAME", "GRANTEE", "PRIVILEGE");
        checks.equal("column privileges", rights.contains("price|tarn|SELECT"), true);
    }

    private static void typesAndFunctions(Checks checks, DatabaseMetaData metadata) throws Exception {
        List<String> types = Checks.rows(metadata.getTypeInfo(), "TYPE_NAME");
        checks.equal("type info", types.containsAll(List.of("int4", "text", "numeric", "timestamptz", "_int4")), true);
        checks.equal("functions", Checks.rows(metadata.getFunctions(null, null, "initcap"), "FUNCTION_NAME"), "[initcap]");
        ResultSet parts = metadata.getFunctionColumns(null, null, "initcap", null);
        checks.equal("function columns", Checks.rows(parts, "COLUMN_NAME", "TYPE_NAME"), "[returnValue|text, $1|text]");
        checks.equal("procedures", Checks.rows(metadata.getProcedures(null, "system", "crawl"), "PROCEDURE_NAME"), "[crawl]");
        checks.equal("procedure columns", Checks.rows(metadata.getProcedureColumns(null, "system", "crawl", null), "COLUMN_NAME").isEmpty(), false);
        checks.equal("user types", Checks.rows(metadata.getUDTs(null, "jdbc", "%", null), "TYPE_NAME"), "[]");
    }

    private static void resultMetadata(Checks checks, Statement statement) throws Exception {
        ResultSet result = statement.executeQuery("SELECT id, price AS cost, 1 + 1 AS two FROM jdbc.orders");
        ResultSetMetaData shape = result.getMetaData();
        checks.equal("label and type", shape.getColumnLabel(2) + " " + shape.getColumnTypeName(2), "cost numeric");
        checks.equal("precision and scale", shape.getPrecision(2) + " " + shape.getScale(2), "12 2");
        checks.equal("class", shape.getColumnClassName(1), "java.lang.Long");
        checks.equal("nullable of an expression", shape.isNullable(3), ResultSetMetaData.columnNullableUnknown);
        checks.equal("auto increment", shape.isAutoIncrement(1), false);
        result.close();
    }
}
