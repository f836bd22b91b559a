// What stands on the drivers: knex, sequelize, typeorm and Cube's driver. Tables here have no keys, so the tables of
// the mappers are made in SQL or by their builders without one, and the mappers are told what identifies a row.
import 'reflect-metadata';
import knexOf from 'knex';
import { createRequire } from 'node:module';
import { DataTypes, QueryTypes, Sequelize } from 'sequelize';
import { DataSource, EntitySchema } from 'typeorm';
import { equal, server, state } from './checks.js';

const { PostgresDriver } = createRequire(import.meta.url)('@cubejs-backend/postgres-driver');

export async function knex() {
  const db = knexOf({ client: 'pg', connection: server, pool: { min: 0, max: 2 } });
  await db.schema.createTable('knex_rows', (table) => {
    table.bigInteger('id').notNullable();
    table.text('name').comment('what it is called');
    table.decimal('price', 10, 2);
    table.timestamp('at');
  });
  equal('has table and column', [await db.schema.hasTable('knex_rows'), await db.schema.hasTable('none'), await db.schema.hasColumn('knex_rows', 'price')], [true, false, true]);
  const columns = await db('knex_rows').columnInfo();
  equal('column info', [columns.id.type, columns.id.nullable, columns.at.type], ['bigint', false, 'timestamp with time zone']);
  await db('knex_rows').insert([1, 2, 3, 4].map((id) => ({ id, name: `n${id}`, price: id / 2 })));
  equal('returning', await db('knex_rows').insert({ id: 5, name: 'n5' }).returning(['id', 'name']), [{ id: '5', name: 'n5' }]);
  equal('where', await db('knex_rows').whereIn('id', [2, 3]).andWhere('price', '>', 1).pluck('name'), ['n3']);
  equal('group', (await db('knex_rows').count('* as n').max('price as top').first()), { n: '5', top: '2.00' });
  equal('update', await db('knex_rows').where({ id: 1 }).update({ name: 'first' }), 1);
  await db.transaction(async (inside) => {
    await inside('knex_rows').where({ id: 4 }).del();
    await inside.transaction(async (nested) => { await nested('knex_rows').del(); throw new Error('back'); }).catch(() => {});
  });
  equal('transaction', (await db('knex_rows').orderBy('id').pluck('id')), ['1', '2', '3', '5']);
  await db.schema.alterTable('knex_rows', (table) => { table.text('more'); table.renameColumn('name', 'title'); });
  equal('alter', Object.keys(await db('knex_rows').columnInfo()).sort(), ['at', 'id', 'more', 'price', 'title']);
  let streamed = 0;
  for await (const row of db('knex_rows').stream()) streamed += Number(row.id);
  equal('stream', streamed, 11);
  equal('SQLSTATE', await state(db('none').select()), '42P01');
  await db.schema.dropTable('knex_rows');
  await db.destroy();
}

export async function sequelize() {
  const { host, port, user, database } = server;
  const db = new Sequelize(database, user, '', { host, port, dialect: 'postgres', logging: false, pool: { max: 2 } });
  await db.authenticate();
  const query = db.getQueryInterface();
  await query.createTable('sequelize_rows', {
    id: { type: DataTypes.BIGINT, allowNull: false },
    name: { type: DataTypes.TEXT, comment: 'what it is called' },
    price: DataTypes.DECIMAL(10, 2),
    at: DataTypes.DATE,
    tags: DataTypes.ARRAY(DataTypes.TEXT),
  });
  const Row = db.define('sequelize_rows', {
    id: { type: DataTypes.BIGINT, primaryKey: true },
    name: DataTypes.TEXT,
    price: DataTypes.DECIMAL(10, 2),
    at: DataTypes.DATE,
    tags: DataTypes.ARRAY(DataTypes.TEXT),
  }, { timestamps: false, freezeTableName: true });
  equal('tables', (await query.showAllTables()).includes('sequelize_rows'), true);
  const shape = await query.describeTable('sequelize_rows');
  equal('describe', [shape.id.type, shape.id.allowNull, shape.price.type, shape.name.comment], ['BIGINT', false, 'NUMERIC', 'what it is called']);
  equal('indexes', await query.showIndex('sequelize_rows'), []);
  equal('foreign keys', await query.getForeignKeyReferencesForTable('sequelize_rows'), []);
  const at = new Date('2026-02-03T04:05:06.789Z');
  await Row.bulkCreate([1, 2, 3].map((id) => ({ id, name: `n${id}`, price: '1.50', at, tags: ['a', 'b'] })));
  const found = await Row.findByPk(2);
  equal('find', [found.name, found.at, found.tags], ['n2', at, ['a', 'b']]);
  await found.update({ name: 'changed' });
  equal('count', await Row.count({ where: { name: ['changed', 'n3'] } }), 2);
  equal('sum', await Row.sum('price'), 4.5);
  await db.transaction(async (transaction) => { await Row.destroy({ where: { id: 3 }, transaction }); });
  await db.transaction(async (transaction) => { await Row.destroy({ where: {}, transaction }); throw new Error('back'); }).catch(() => {});
  equal('transactions', (await Row.findAll({ order: ['id'], raw: true, attributes: ['id'] })), [{ id: '1' }, { id: '2' }]);
  equal('replacements', await db.query('SELECT :a::int AS a', { replacements: { a: 7 }, type: QueryTypes.SELECT }), [{ a: 7 }]);
  equal('bind', await db.query('SELECT $1::int AS a', { bind: [7], type: QueryTypes.SELECT }), [{ a: 7 }]);
  await query.addColumn('sequelize_rows', 'more', DataTypes.TEXT);
  await query.dropTable('sequelize_rows');
  await db.close();
}

export async function typeorm() {
  const { host, port, user, database } = server;
  const columns = {
    id: { type: 'integer', primary: true },
    name: { type: 'text', nullable: true },
    price: { type: 'numeric', precision: 10, scale: 2, nullable: true },
    at: { type: 'timestamptz', nullable: true },
    good: { type: 'boolean', default: false },
  };
  const Row = new EntitySchema({ name: 'typeorm_rows', tableName: 'typeorm_rows', columns });
  const source = new DataSource({ type: 'postgres', host, port, username: user, database, entities: [Row], installExtensions: false });
  await source.initialize();
  await source.query('CREATE TABLE typeorm_rows (id integer PRIMARY KEY, name text, price numeric(10,2), at timestamptz, good boolean DEFAULT false NOT NULL) WITH (format_version = 3)');
  const runner = source.createQueryRunner();
  equal('has', [await runner.hasTable('typeorm_rows'), await runner.hasColumn('typeorm_rows', 'price'), await runner.hasSchema('public')], [true, true, true]);
  const table = await runner.getTable('typeorm_rows');
  const described = table.columns.map((column) => `${column.name} ${column.type} ${column.isNullable} ${column.isPrimary}`);
  equal('getTable', described, ['id integer false true', 'name text true false', 'price numeric true false', 'at timestamp with time zone true false', 'good boolean false false']);
  const at = new Date('2026-02-03T04:05:06.789Z');
  const rows = source.getRepository(Row);
  await rows.insert([1, 2, 3].map((id) => ({ id, name: `n${id}`, price: '1.50', at, good: id === 2 })));
  await rows.save({ id: 4, name: 'saved' });
  await rows.save({ id: 1, name: 'changed' });
  equal('find', await rows.findOneBy({ id: 1 }), { id: 1, name: 'changed', price: '1.50', at, good: false });
  equal('builder', (await rows.createQueryBuilder('r').select('sum(r.price)', 's').where('r.id < :top', { top: 3 }).getRawOne()), { s: '3.00' });
  equal('count', await rows.countBy({ good: true }), 1);
  await source.transaction((manager) => manager.delete(Row, { id: 4 }));
  await source.transaction(async (manager) => { await manager.delete(Row, { id: 3 }); throw new Error('back'); }).catch(() => {});
  equal('transactions', (await rows.find({ order: { id: 'ASC' } })).map((row) => row.id), [1, 2, 3]);
  equal('SQLSTATE', await state(source.query('SELECT * FROM none')), '42P01');
  await source.destroy();
}

export async function cube() {
  const { host, port, user, database } = server;
  const driver = new PostgresDriver({ host, port, user, database, max: 2 });
  await driver.testConnection();
  await driver.query('CREATE SCHEMA cube');
  await driver.query('CREATE TABLE cube.orders (id bigint, name text, price numeric(10,2), at timestamp, good boolean)');
  await driver.query("INSERT INTO cube.orders VALUES (1, 'a', 1.5, '2026-01-02 03:04:05', true), (2, 'b', 2.5, NULL, false)");
  const schema = await driver.tablesSchema();
  const columns = schema.cube.orders.map((column) => `${column.name} ${column.type}`).sort();
  equal('schema', columns, ['at timestamp without time zone', 'good boolean', 'id bigint', 'name text', 'price numeric']);
  equal('schemas', (await driver.getSchemas()).some((one) => one.schema_name === 'cube'), true);
  equal('tables', (await driver.getTablesForSpecificSchemas([{ schema_name: 'cube' }])).map((one) => one.table_name), ['orders']);
  equal('query', await driver.query('SELECT sum(price) AS total FROM cube.orders WHERE id < $1', [3]), [{ total: '4.00' }]);
  const stream = await driver.stream('SELECT id FROM cube.orders ORDER BY id', [], { highWaterMark: 10 });
  const streamed = [];
  for await (const row of stream.rowStream) streamed.push(row.id);
  equal('stream', streamed, ['1', '2']);
  await stream.release();
  equal('table types', (await driver.tableColumnTypes('cube.orders')).length, 5);
  await driver.release();
}
