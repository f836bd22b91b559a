MODEL (name shop.history, kind SCD_TYPE_2_BY_COLUMN (unique_key id, columns [city]));
SELECT id::BIGINT AS id, name::TEXT AS name, city::TEXT AS city FROM shop.customers;
