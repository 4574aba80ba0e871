//! Who has to do with whom (关联图): institution, doctor, patient, fund and nursing home, as far as the leads reach.
//!
//! A run of the screening adds the visits and the money up once, so that a page follows an index and never the
//! settlements. Every pair is kept once, its kinds in the order of [`Kind`]; it is walked in both directions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Transaction, params,
};

/// Pairs of one transaction.
const TOGETHER: usize = 2_000;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NodeKind)]
pub enum Kind {
    /// 定点机构, by `fixmedins_code`.
    Institution,
    /// 医师, by `dr_code`.
    Doctor,
    /// 参保人, by `psn_no`.
    Patient,
    /// 基金, by `insutype`.
    Fund,
    /// 养老机构, by its code.
    NursingHome,
}

impl Kind {
    pub const ALL: [Kind; 5] =
        [Kind::Institution, Kind::Doctor, Kind::Patient, Kind::Fund, Kind::NursingHome];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Institution => "institution",
            Kind::Doctor => "doctor",
            Kind::Patient => "patient",
            Kind::Fund => "fund",
            Kind::NursingHome => "nursing_home",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Chinese, then English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Institution => ("定点机构", "institution"),
            Kind::Doctor => ("医师", "doctor"),
            Kind::Patient => ("参保人", "patient"),
            Kind::Fund => ("基金", "fund"),
            Kind::NursingHome => ("养老机构", "nursing home"),
        }
    }
}

/// One of two ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Node {
    pub kind: Kind,
    pub id: String,
}

/// Two that have to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub from: Node,
    pub to: Node,
    pub visits: i64,
    pub amount_fen: i64,
}

/// A node beside another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Neighbour {
    pub node: Node,
    /// Where a reference list says it.
    pub name: Option<String>,
    pub visits: i64,
    pub amount_fen: i64,
    /// Leads about it.
    pub leads: i64,
}

/// Replaces every pair by those of this run; names are added or changed.
///
/// # Errors
/// [`DatabaseError`]; until the last step the pairs of the run before are shown.
pub fn replace(
    db: &Database,
    run: &str,
    pairs: &[Pair],
    names: &[(Node, String)],
) -> Result<(), DatabaseError> {
    for some in pairs.chunks(TOGETHER) {
        db.write(|tx| some.iter().try_for_each(|pair| write(tx, run, pair)))?;
    }
    for some in names.chunks(TOGETHER) {
        db.write(|tx| some.iter().try_for_each(|(node, name)| call(tx, node, name)))?;
    }
    db.write(|tx| tx.execute("DELETE FROM association WHERE run <> ?1", [run]).map(drop))
}

fn write(tx: &Transaction<'_>, run: &str, pair: &Pair) -> db::Result<()> {
    let (from, to) =
        if pair.from.kind <= pair.to.kind { (&pair.from, &pair.to) } else { (&pair.to, &pair.from) };
    tx.execute(
        "INSERT INTO association (from_kind, from_id, to_kind, to_id, visits, amount_fen, run)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (from_kind, from_id, to_kind, to_id) DO UPDATE SET
             visits = excluded.visits, amount_fen = excluded.amount_fen, run = excluded.run",
        params![from.kind.name(), from.id, to.kind.name(), to.id, pair.visits, pair.amount_fen, run],
    )?;
    Ok(())
}

fn call(tx: &Transaction<'_>, node: &Node, name: &str) -> db::Result<()> {
    tx.execute(
        "INSERT INTO association_name (kind, id, name) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name",
        params![node.kind.name(), node.id, name],
    )?;
    Ok(())
}

/// What lies beside a node, those with the most money first, at most `most` of each kind.
pub fn neighbours(connection: &Connection, node: &Node, most: i64) -> db::Result<Vec<Neighbour>> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        // Both directions by their own index; a pair of one kind would be in both and there is none.
        let mut query = connection.prepare_cached(
            "SELECT x.id, n.name, x.visits, x.amount_fen FROM (
                 SELECT to_id AS id, visits, amount_fen FROM association
                 WHERE from_kind = ?1 AND from_id = ?2 AND to_kind = ?3
                 UNION ALL
                 SELECT from_id AS id, visits, amount_fen FROM association
                 WHERE to_kind = ?1 AND to_id = ?2 AND from_kind = ?3
             ) x LEFT JOIN association_name n ON n.kind = ?3 AND n.id = x.id
             ORDER BY x.amount_fen DESC, x.id LIMIT ?4",
        )?;
        let beside = query
            .query_map(params![node.kind.name(), node.id, kind.name(), most], |row| {
                Ok(Neighbour {
                    node: Node { kind, id: row.get(0)? },
                    name: row.get(1)?,
                    visits: row.get(2)?,
                    amount_fen: row.get(3)?,
                    leads: 0,
                })
            })?
            .collect::<db::Result<Vec<_>>>()?;
        found.extend(beside);
    }
    for one in &mut found {
        one.leads = leads(connection, &one.node)?;
    }
    Ok(found)
}

/// Leads about a node.
pub fn leads(connection: &Connection, node: &Node) -> db::Result<i64> {
    let sql = match node.kind {
        Kind::Institution => "SELECT count(*) FROM lead WHERE institution = ?1",
        Kind::Doctor => "SELECT count(*) FROM lead WHERE dr_code = ?1",
        Kind::Patient => "SELECT count(*) FROM lead WHERE psn_no = ?1",
        // Leads are about people and places.
        Kind::Fund | Kind::NursingHome => return Ok(0),
    };
    connection.prepare_cached(sql)?.query_row([&node.id], |row| row.get(0))
}

/// What a node is called.
pub fn name(connection: &Connection, node: &Node) -> db::Result<Option<String>> {
    connection
        .prepare_cached("SELECT name FROM association_name WHERE kind = ?1 AND id = ?2")?
        .query_row([node.kind.name(), node.id.as_str()], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: Kind, id: &str) -> Node {
        Node { kind, id: id.to_owned() }
    }

    #[test]
    fn a_pair_is_walked_in_both_directions_and_the_next_run_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let (home, hospital) = (node(Kind::NursingHome, "N1"), node(Kind::Institution, "H1"));
        let patient = node(Kind::Patient, "P1");
        let pair = |from: &Node, to: &Node, amount_fen| Pair {
            from: from.clone(),
            to: to.clone(),
            visits: 2,
            amount_fen,
        };
        let pairs = [pair(&home, &hospital, 900), pair(&patient, &hospital, 500), pair(&patient, &home, 1)];
        replace(&db, "r1", &pairs, &[(hospital.clone(), "示范医院".to_owned())]).unwrap();
        let beside = |at: &Node| db.read(|connection| neighbours(connection, at, 10)).unwrap();
        assert_eq!(
            beside(&hospital).iter().map(|one| (one.node.clone(), one.amount_fen)).collect::<Vec<_>>(),
            [(patient.clone(), 500), (home.clone(), 900)]
        );
        let of_home = beside(&home);
        assert_eq!((of_home[0].name.as_deref(), of_home.len()), (Some("示范医院"), 2));
        replace(&db, "r2", &[pair(&patient, &hospital, 700)], &[]).unwrap();
        assert_eq!(beside(&home), []);
        assert_eq!(beside(&patient)[0].amount_fen, 700);
        assert_eq!(db.read(|connection| name(connection, &hospital)).unwrap().as_deref(), Some("示范医院"));
    }
}
