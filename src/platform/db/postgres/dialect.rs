//! One SQL for both databases: what of it PostgreSQL reads otherwise, and the functions it lacks.
//!
//! | written | for PostgreSQL |
//! |---|---|
//! | `?1`, `?` | `$1`, the next number |
//! | `INSERT OR IGNORE INTO t ...` | `INSERT INTO t ... ON CONFLICT DO NOTHING` |
//! | `x'00'` | `'\x00'::bytea` |
//! | `CROSS JOIN t a ON ...`, which keeps SQLite to that order | `JOIN t a ON ...` |
//! | `max(a, b)`, `min(a, b)`, `instr(text, part)`, `iif(if, a, b)` | functions of ours |
//! | `rowid` | a column where a list is paged by it |
//!
//! Everything else is written so that both take it: `IS DISTINCT FROM` for `IS NOT ?`, `count(*) FILTER (WHERE ...)` for
//! `sum(condition)`, `= true` for a condition in an index, `ON CONFLICT (key) DO UPDATE SET a = t.a + 1`, and `<> 0` where
//! a number is a truth. A sum of numbers that stand in the text alone is one of 32 bits in PostgreSQL, and a table in
//! `FROM` that is a question needs a name.

/// What SQLite has and PostgreSQL lacks. A maximum with a `NULL` is `NULL`, as there.
pub const FUNCTIONS: &str = "
CREATE FUNCTION max(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE greatest(a, b) END';
CREATE FUNCTION max(a BIGINT, b BIGINT, c BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN a IS NULL OR b IS NULL OR c IS NULL THEN NULL ELSE greatest(a, b, c) END';
CREATE FUNCTION min(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE least(a, b) END';
CREATE FUNCTION instr(whole TEXT, part TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT strpos(whole, part)::bigint';
CREATE FUNCTION iif(which BOOLEAN, a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN which THEN a ELSE b END';
";

/// A statement as PostgreSQL reads it.
pub fn adapt(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let (mut rest, mut last) = (sql, 0_u32);
    while let Some(at) = rest.find(['?', '\'', 'x']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let is_word = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if let Some(hexadecimal) = from.strip_prefix("x'").filter(|_| !is_word) {
            let (digits, behind) = hexadecimal.split_once('\'').unwrap_or((hexadecimal, ""));
            out.push_str(&format!("'\\x{digits}'::bytea"));
            rest = behind;
        } else if let Some(quoted) = from.strip_prefix('\'') {
            let end = quoted.find('\'').map_or(from.len(), |end| end + 2);
            out.push_str(&from[..end]);
            rest = &from[end..];
        } else if let Some(numbered) = from.strip_prefix('?') {
            let digits = numbered.len() - numbered.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            last = numbered[..digits].parse().unwrap_or(last + 1);
            out.push_str(&format!("${last}"));
            rest = &numbered[digits..];
        } else {
            out.push('x');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    ordered_joins(&ignoring(out))
}

fn ignoring(sql: String) -> String {
    match sql.trim_start().strip_prefix("INSERT OR IGNORE") {
        Some(what) => format!("INSERT{what} ON CONFLICT DO NOTHING"),
        None => sql,
    }
}

/// `CROSS JOIN` takes no condition in PostgreSQL, which finds its order itself.
fn ordered_joins(sql: &str) -> String {
    let mut parts = sql.split("CROSS JOIN");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The table, perhaps its short name, then the condition.
        let has_condition = part.split_whitespace().take(3).skip(1).any(|word| word == "ON");
        out.push_str(if has_condition { "JOIN" } else { "CROSS JOIN" });
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_holds_and_text_in_quotes_stays() {
        for (written, read) in [
            (
                "SELECT a FROM t WHERE b = ?1 AND (?2 IS NULL OR c = ?2)",
                "SELECT a FROM t WHERE b = $1 AND ($2 IS NULL OR c = $2)",
            ),
            ("a = ? AND b = ? LIMIT ?", "a = $1 AND b = $2 LIMIT $3"),
            ("a = '?1''x' AND max = ?12", "a = '?1''x' AND max = $12"),
            (
                "SET s = x'', t = x'00ff', index = hex'",
                "SET s = '\\x'::bytea, t = '\\x00ff'::bytea, index = hex'",
            ),
            ("INSERT OR IGNORE INTO t VALUES (?1)", "INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING"),
            ("FROM a CROSS JOIN b c ON c.x = a.x CROSS JOIN d", "FROM a JOIN b c ON c.x = a.x CROSS JOIN d"),
        ] {
            assert_eq!(adapt(written), read);
        }
    }
}
