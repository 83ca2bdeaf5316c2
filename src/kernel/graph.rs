//! Dependencies between work items, as a graph.
use p0_model::{aggregate::Aggregate, id::TicketId};
use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use std::collections::BTreeMap;

/// A cycle in the dependencies of these items, its first item again at its end; `None` if there is none.
///
/// `changed` holds the dependencies of new or changed items and wins over the state.
pub(crate) fn cycle<'a>(state: &'a Aggregate, changed: &'a BTreeMap<TicketId, Vec<TicketId>>) -> Option<Vec<TicketId>> {
    let mut ids: Vec<&TicketId> = state.tickets.keys().chain(changed.keys()).collect();
    ids.sort();
    ids.dedup();
    let index: BTreeMap<&TicketId, u32> = ids.iter().zip(0u32..).map(|(id, i)| (*id, i)).collect();
    let mut graph = DiGraphMap::<u32, ()>::new();
    for (id, from) in &index {
        let mut link = |to: &TicketId| {
            if let Some(to) = index.get(to) {
                graph.add_edge(*from, *to, ());
            }
        };
        match changed.get(*id) {
            Some(needs) => needs.iter().for_each(&mut link),
            None => state.tickets.get(*id).iter().flat_map(|t| &t.seed.depends_on).for_each(&mut link),
        }
    }
    let knot = tarjan_scc(&graph).into_iter().find(|scc| scc.len() > 1 || graph.contains_edge(scc[0], scc[0]))?;
    Some(walk(&graph, &knot).into_iter().map(|i| ids[i as usize].clone()).collect())
}

/// One closed walk inside a strongly connected component, from its smallest member back to it.
fn walk(graph: &DiGraphMap<u32, ()>, knot: &[u32]) -> Vec<u32> {
    let start = knot.iter().copied().min().unwrap_or_default();
    let mut came_from = BTreeMap::new();
    let mut next = std::collections::VecDeque::from([start]);
    while let Some(node) = next.pop_front() {
        for to in graph.neighbors(node).filter(|n| knot.contains(n)) {
            if to == start {
                let mut path = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from.get(&at).copied().unwrap_or(start);
                    path.push(at);
                }
                path.reverse();
                if node == start {
                    path.truncate(2);
                }
                return path;
            }
            came_from.entry(to).or_insert_with(|| {
                next.push_back(to);
                node
            });
        }
    }
    vec![start, start]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pairs: &[(u32, &[u32])]) -> Option<Vec<String>> {
        let changed = pairs
            .iter()
            .map(|(id, on)| (TicketId::new("A", *id), on.iter().map(|n| TicketId::new("A", *n)).collect()))
            .collect();
        cycle(&Aggregate::default(), &changed).map(|c| c.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn cycles_are_named_in_order() {
        assert_eq!(needs(&[(1, &[]), (2, &[1]), (3, &[1]), (4, &[2, 3])]), None);
        assert_eq!(needs(&[(1, &[1])]).unwrap(), ["A-1", "A-1"]);
        assert_eq!(needs(&[(1, &[3]), (2, &[1]), (3, &[2]), (4, &[1])]).unwrap(), ["A-1", "A-3", "A-2", "A-1"]);
    }
}
