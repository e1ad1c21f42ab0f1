-- The shop's tables. Money is in cents of one currency, times are RFC 3339 text in UTC.

CREATE TABLE categories (
    id   INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE category_texts (
    category_id INTEGER NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
    lang        TEXT NOT NULL,
    name        TEXT NOT NULL,
    PRIMARY KEY (category_id, lang)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the id, and so the URL, of a deleted product never comes back as another product.
CREATE TABLE products (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    sku              TEXT NOT NULL UNIQUE,
    category_id      INTEGER NOT NULL REFERENCES categories (id),
    price_cents      INTEGER NOT NULL CHECK (price_cents > 0),
    price_changed_at TEXT NOT NULL,
    stock            INTEGER NOT NULL CHECK (stock >= 0),
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
) STRICT;
CREATE INDEX products_by_category ON products (category_id);
CREATE INDEX products_by_price ON products (price_cents, id);
CREATE INDEX products_by_age ON products (created_at, id);

-- English is always there; the other languages fall back to it.
CREATE TABLE product_texts (
    id          INTEGER PRIMARY KEY,
    product_id  INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    lang        TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (product_id, lang)
) STRICT;

CREATE VIRTUAL TABLE product_search USING fts5 (
    name, description,
    content = 'product_texts', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER product_texts_inserted AFTER INSERT ON product_texts BEGIN
    INSERT INTO product_search (rowid, name, description) VALUES (new.id, new.name, new.description);
END;
CREATE TRIGGER product_texts_deleted AFTER DELETE ON product_texts BEGIN
    INSERT INTO product_search (product_search, rowid, name, description)
    VALUES ('delete', old.id, old.name, old.description);
END;
CREATE TRIGGER product_texts_updated AFTER UPDATE ON product_texts BEGIN
    INSERT INTO product_search (product_search, rowid, name, description)
    VALUES ('delete', old.id, old.name, old.description);
    INSERT INTO product_search (rowid, name, description) VALUES (new.id, new.name, new.description);
END;

-- A sale outlives its product: it keeps the category and the price of the day.
CREATE TABLE sales (
    id          INTEGER PRIMARY KEY,
    product_id  INTEGER REFERENCES products (id) ON DELETE SET NULL,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    price_cents INTEGER NOT NULL CHECK (price_cents > 0),
    sold_at     TEXT NOT NULL
) STRICT;
CREATE INDEX sales_by_product ON sales (product_id);

CREATE TABLE users (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    email        TEXT NOT NULL UNIQUE,
    token        TEXT NOT NULL UNIQUE,
    member_since TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cart_items (
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    product_id INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (user_id, product_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cart_items_by_product ON cart_items (product_id);
