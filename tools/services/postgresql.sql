CREATE ROLE crossdock LOGIN CREATEDB PASSWORD 'crossdock';
CREATE DATABASE crossdock OWNER crossdock;
