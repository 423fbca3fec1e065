//! Where in a report a cell stands: an anchor per cell, unlike all others, the same on the page and in Markdown.

use std::collections::BTreeMap;

/// A link to a cell.
pub(super) struct Link {
    pub(super) id: String,
    /// None where the run holds no such cell.
    pub(super) anchor: Option<String>,
}

/// Anchors by cell id.
pub(super) struct Places(BTreeMap<String, String>);

impl Places {
    pub(super) fn of<'i>(ids: impl Iterator<Item = &'i str>) -> Self {
        let mut anchors: BTreeMap<String, String> = BTreeMap::new();
        for id in ids {
            let plain: String = id
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            let mut anchor = format!("cell-{plain}");
            while anchors.values().any(|taken| *taken == anchor) {
                anchor.push('-');
            }
            anchors.insert(id.into(), anchor);
        }
        Self(anchors)
    }

    pub(super) fn anchor(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    pub(super) fn links(&self, ids: &[String]) -> Vec<Link> {
        let link = |id: &String| Link {
            id: id.clone(),
            anchor: self.anchor(id).map(String::from),
        };
        ids.iter().map(link).collect()
    }

    /// The same in Markdown, behind a sentence; nothing where there is no cell.
    pub(super) fn in_markdown(&self, ids: &[String]) -> String {
        if ids.is_empty() {
            return String::new();
        }
        let link = |link: Link| match link.anchor {
            Some(anchor) => format!("[`{}`](#{anchor})", link.id),
            None => format!("`{}`", link.id),
        };
        let links: Vec<String> = self.links(ids).into_iter().map(link).collect();
        format!(" Cells: {}.", links.join(", "))
    }
}
