// Each client does its work on the server that is named by TARN_HOST and TARN_PORT.
import { client, finish } from './checks.js';
import { copyStreams, nodePg, postgresJs } from './drivers.js';
import { cube, knex, sequelize, typeorm } from './mappers.js';

await client('node-postgres (pg, pg-cursor)', 'pg', 'types, named statements, several results, transactions, cursor in portions, pool', nodePg);
await client('pg-copy-streams', 'pg-copy-streams', 'COPY FROM and TO as streams, bad data, a source that breaks', copyStreams);
await client('postgres.js', 'postgres', 'tagged parameters, types, transactions, savepoints, cursor, describe', postgresJs);
await client('knex', 'knex', 'schema builder, column info, queries, nested transactions, ALTER, stream', knex);
await client('sequelize', 'sequelize', 'create and describe tables, models, bulk insert, transactions, replacements, binds', sequelize);
await client('TypeORM', 'typeorm', 'has-table questions, repositories, query builder, transactions', typeorm);
await client('Cube', '@cubejs-backend/postgres-driver', 'schemas, tables, column types, queries, stream', cube);
finish();
