delete from dray_figure where kind = ? and span = ? and name = ? and at = ? and source = ?
