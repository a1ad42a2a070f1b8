//! The tables of files that were looked at last, within a bound.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::table::Table;
use crate::types::SegmentId;

/// Least recently used tables go first, once more than `limit` fragments are kept altogether.
#[derive(Debug)]
pub(super) struct Cache {
    limit: usize,
    fragments: usize,
    tables: HashMap<SegmentId, (u64, Arc<Table>)>,
    by_use: BTreeMap<u64, SegmentId>,
    uses: u64,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, fragments: 0, tables: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    pub(super) fn get(&mut self, id: SegmentId) -> Option<Arc<Table>> {
        let (used, table) = self.tables.get_mut(&id)?;
        self.uses += 1;
        self.by_use.remove(used);
        *used = self.uses;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(table))
    }

    /// Puts a table in, in place of an older one of the same file.
    pub(super) fn put(&mut self, id: SegmentId, table: Arc<Table>) {
        self.uses += 1;
        self.fragments += weight(&table);
        self.by_use.insert(self.uses, id);
        if let Some((used, old)) = self.tables.insert(id, (self.uses, table)) {
            self.by_use.remove(&used);
            self.fragments -= weight(&old);
        }
        // The newest one stays, whatever its size.
        while self.fragments > self.limit && self.tables.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((_, old)) = self.tables.remove(&oldest) {
                self.fragments -= weight(&old);
            }
        }
    }
}

/// A table costs something even where it is empty.
fn weight(table: &Table) -> usize {
    table.fragments.len() + 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieve::library::table::tests::table_of;

    fn id(seq: u32) -> SegmentId {
        let uuid = uuid::Uuid::from_u128(1);
        SegmentId { stream: uuid.into(), run: uuid.into(), seq }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(3 * (10 + 8));
        for seq in 0..3 {
            cache.put(id(seq), Arc::new(table_of(10)));
        }
        assert!(cache.get(id(0)).is_some());
        cache.put(id(3), Arc::new(table_of(10)));
        assert!(cache.get(id(1)).is_none());
        assert!([0, 2, 3].into_iter().all(|seq| cache.get(id(seq)).is_some()));
    }

    #[test]
    fn a_table_that_grows_replaces_itself() {
        let mut cache = Cache::new(100);
        for n in 0..50 {
            cache.put(id(0), Arc::new(table_of(n)));
        }
        assert_eq!((cache.tables.len(), cache.by_use.len(), cache.fragments), (1, 1, 49 + 8));
        cache.put(id(1), Arc::new(table_of(1000)));
        assert!(cache.get(id(0)).is_none());
        assert_eq!(cache.get(id(1)).map(|t| t.fragments.len()), Some(1000));
    }
}
