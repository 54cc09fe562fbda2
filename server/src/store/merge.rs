//! Several conversations, one order: older before newer, whatever they belong to.

use tidings_core::custody::Loaded;
use tidings_core::message::MessageRef;

/// Merges sources that are each ascending by position, up to the limits. The limit of bytes lets
/// the first message through, so that no message is too big to be loaded.
pub(crate) fn by_position<I>(sources: Vec<I>, messages_max: usize, bytes_max: usize) -> Loaded
where
    I: Iterator<Item = MessageRef>,
{
    let mut sources = sources;
    let mut heads: Vec<Option<MessageRef>> = sources.iter_mut().map(Iterator::next).collect();
    let mut messages = Vec::new();
    let mut bytes = 0usize;
    while messages.len() < messages_max {
        // At most 64 sources: a scan is as good as a heap.
        let oldest = heads
            .iter()
            .enumerate()
            .filter_map(|(at, head)| head.as_ref().map(|message| (message.position, at)))
            .min();
        let Some((_, at)) = oldest else { break };
        let size = heads[at].as_ref().map_or(0, |message| message.body.len());
        if !messages.is_empty() && bytes + size > bytes_max {
            break;
        }
        bytes += size;
        let next = sources[at].next();
        messages.extend(std::mem::replace(&mut heads[at], next));
    }
    Loaded {
        messages,
        next: heads
            .iter()
            .map(|head| head.as_ref().map(|message| message.position))
            .collect(),
    }
}
