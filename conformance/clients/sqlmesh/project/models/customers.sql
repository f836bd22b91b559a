MODEL (name shop.customers, kind SEED (path '../seeds/customers.csv'), columns (id BIGINT, name TEXT, city TEXT), grain id);
