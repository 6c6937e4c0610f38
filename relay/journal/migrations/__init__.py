"""The steps from one schema to the next; a revision that was released is never changed."""
